"""What one does with audiences through the HTTP API: sizing, look-alikes, and straight to a campaign."""

import io

import pyarrow.parquet as pq
import pytest

from tests.unit.gateway_control.outsiders import Api, Outsiders, campaign

SEED = {"id": "seed", "advertiser_id": "acme", "display_name": "Seed", "expression": "age > 1"}
ALIKE = {"id": "alike", "advertiser_id": "acme", "display_name": "Alike"}
GROUP = {"display_name": "Launched", "bid_micros": 5}


@pytest.fixture
async def seed(admin: Api, tree: dict[str, object]) -> dict[str, object]:
    return await admin.make("/v1/audiences", SEED)


async def test_reach_is_told_before_there_is_an_audience(admin: Api, tree: dict[str, object]) -> None:
    async def reach(expression: str, advertiser_id: str = "acme") -> tuple[int, dict[str, object]]:
        body = {"advertiser_id": advertiser_id, "expression": expression}
        answer = await admin.call("POST", "/v1/audiences:estimateReach", body)
        return answer.status_code, answer.json()

    assert await reach("age > 1") == (200, {"reach": 1_230, "below_floor": False})
    assert await reach('gender == "few"') == (200, {"reach": 0, "below_floor": True})
    assert (await reach("age >"))[0] == 400
    assert (await reach('audience("nobody")'))[1]["errors"][0]["pointer"] == "/expression"  # type: ignore[index]  # JSON
    assert (await reach("age > 1", "nobody"))[0] == 404
    rival = await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    owner = await admin.key_for("advertiser", str(rival["id"]))
    body = {"advertiser_id": "acme", "expression": "age > 1"}
    assert (await owner.call("POST", "/v1/audiences:estimateReach", body)).status_code == 404


async def test_look_alike_is_created_from_its_seed_and_shows_its_evidence(
    admin: Api, seed: dict[str, object], outsiders: Outsiders
) -> None:
    asked = {"seed_audience_id": "seed", "target_size": 1_000, "seed_cut_off_time": "2026-01-02T00:00:00Z"}
    made = await admin.make("/v1/audiences", {**ALIKE, "look_alike": asked}, idempotency_key="k")
    assert made["look_alike"] == {**asked, "least_precision": None}
    assert outsiders.audiences.look_alikes["alike"].target_size == 1_000
    evidence = (await admin.get("/v1/audiences/alike"))["look_alike_evidence"]
    assert isinstance(evidence, dict)
    assert evidence["lifts"] == [{"share": 0.1, "lift": 4.0, "low": 3.0, "high": 5.0}]
    assert (await admin.get("/v1/audiences/seed"))["look_alike_evidence"] is None
    again = await admin.call("POST", "/v1/audiences", {**ALIKE, "look_alike": asked}, idempotency_key="k")
    assert again.status_code == 201


@pytest.mark.parametrize(
    ("look_alike", "pointer"),
    [
        ({"seed_audience_id": "seed"}, "/look_alike"),
        ({"seed_audience_id": "seed", "target_size": 5, "least_precision": 0.5}, "/look_alike"),
        ({"seed_audience_id": "seed", "least_precision": 1.5}, "/look_alike/least_precision"),
        ({"seed_audience_id": "seed", "target_size": 0}, "/look_alike/target_size"),
        ({"seed_audience_id": "nobody", "target_size": 5}, "/look_alike/seed_audience_id"),
        ({"seed_audience_id": "of-rival", "target_size": 5}, "/look_alike/seed_audience_id"),
    ],
)
async def test_wrong_look_alike_names_its_field(
    admin: Api, seed: dict[str, object], look_alike: dict[str, object], pointer: str
) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    await admin.make("/v1/audiences", {**SEED, "id": "of-rival", "advertiser_id": "rival"})
    answer = await admin.call("POST", "/v1/audiences", {**ALIKE, "look_alike": look_alike})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_look_alike_comes_alone(admin: Api, seed: dict[str, object]) -> None:
    body = {**ALIKE, "look_alike": {"seed_audience_id": "seed", "target_size": 5}, "expression": "age > 1"}
    answer = await admin.call("POST", "/v1/audiences", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/members")


async def test_launch_makes_an_ad_group_for_the_audience_once(admin: Api, seed: dict[str, object]) -> None:
    body = {"campaign_id": "c1", "ad_group": {**GROUP, "targeting": "age > 2", "exclude_audience_ids": ["seed"]}}
    first = await admin.make("/v1/audiences/seed:launch", body, idempotency_key="k")
    group = first["ad_group"]
    assert isinstance(group, dict)
    assert (first["audience_id"], first["campaign_id"], group["campaign_id"]) == ("seed", "c1", "c1")
    assert group["audience_ids"] == {"include": ["seed"], "exclude": ["seed"]}
    assert group["targeting"] == "age > 2"
    assert await admin.make("/v1/audiences/seed:launch", body, idempotency_key="k") == first
    assert await admin.get(f"/v1/ad-groups/{group['id']}") == group
    other = {"campaign_id": "c1", "ad_group": {**GROUP, "display_name": "Other"}}
    assert (await admin.call("POST", "/v1/audiences/seed:launch", other, idempotency_key="k")).status_code == 409


async def test_launch_makes_the_campaign_too_and_hands_over_its_terms(
    admin: Api, seed: dict[str, object], outsiders: Outsiders
) -> None:
    body = {"campaign": campaign(id="c9"), "ad_group": GROUP}
    first = await admin.make("/v1/audiences/seed:launch", body, idempotency_key="k")
    assert first["campaign_id"] == "c9"
    assert (await admin.get("/v1/campaigns/c9"))["terms_acked"] is True
    assert [one.campaign_id for one in outsiders.attribution.terms].count("c9") == 1
    assert await admin.make("/v1/audiences/seed:launch", body, idempotency_key="k") == first
    unnamed = {"campaign": campaign(), "ad_group": GROUP}
    made = [await admin.make("/v1/audiences/seed:launch", unnamed, idempotency_key="u") for _ in range(2)]
    assert made[0] == made[1]


async def test_launch_that_does_not_fit_leaves_nothing_behind(
    admin: Api, seed: dict[str, object], outsiders: Outsiders
) -> None:
    async def refused(body: dict[str, object], audience_id: str = "seed") -> tuple[int, str]:
        answer = await admin.call("POST", f"/v1/audiences/{audience_id}:launch", body, idempotency_key="k")
        errors = answer.json().get("errors", [])
        return answer.status_code, errors[0]["pointer"] if errors else ""

    fresh = campaign(id="c9")
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    assert await refused({"campaign": fresh, "ad_group": {**GROUP, "id": "g1"}}) == (409, "")
    wrong_bid = {**GROUP, "bid_micros": 9_000_000}
    assert await refused({"campaign": fresh, "ad_group": wrong_bid}) == (400, "/ad_group/bid_micros")
    unknown = {**GROUP, "exclude_audience_ids": ["nobody"]}
    assert await refused({"campaign": fresh, "ad_group": unknown}) == (400, "/ad_group/audience_ids/exclude/0")
    strange = {**GROUP, "targeting": "shoe > 1"}
    assert await refused({"campaign": fresh, "ad_group": strange}) == (400, "/ad_group/targeting")
    rivals = campaign("rival", id="c9")
    assert await refused({"campaign": rivals, "ad_group": GROUP}) == (400, "/campaign/advertiser_id")
    assert (await refused({"campaign": fresh, "campaign_id": "c1", "ad_group": GROUP}))[0] == 400
    assert (await refused({"campaign_id": "c7", "ad_group": GROUP}))[0] == 404
    assert (await refused({"campaign": fresh, "ad_group": GROUP}, "nobody"))[0] == 404
    outsiders.audiences.failed.add("seed")
    assert (await refused({"campaign": fresh, "ad_group": GROUP}))[0] == 409
    assert (await admin.call("GET", "/v1/campaigns/c9")).status_code == 404
    assert len((await admin.get("/v1/ad-groups"))["ad_groups"]) == 1  # type: ignore[arg-type]  # a list in JSON
    assert "c9" not in [one.campaign_id for one in outsiders.attribution.terms]


async def test_launch_is_for_the_owner_of_the_audience(admin: Api, seed: dict[str, object]) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    rival, reader = await admin.key_for("advertiser", "rival"), await admin.key_for("analyst")
    body = {"campaign_id": "c1", "ad_group": GROUP}
    assert (await rival.call("POST", "/v1/audiences/seed:launch", body)).status_code == 404
    assert (await reader.call("POST", "/v1/audiences/seed:launch", body)).status_code == 403
    owner = await admin.key_for("advertiser", "acme")
    assert (await owner.call("POST", "/v1/audiences/seed:launch", body)).status_code == 201


async def test_export_is_a_file_of_tokens_and_tells_how_many_were_left_out(
    admin: Api, seed: dict[str, object], outsiders: Outsiders
) -> None:
    asked = {"partner": "dsp", "purpose": "targeting"}
    answer = await admin.call("POST", "/v1/audiences/seed:export", asked)
    assert (answer.status_code, answer.text) == (200, "person_token\r\nt1\r\nt2\r\nt3\r\n")
    assert (answer.headers["x-sent-count"], answer.headers["x-left-out-count"]) == ("3", "10")
    assert answer.headers["content-type"].startswith("text/csv")
    assert outsiders.exports.asked == [("seed", "dsp", "targeting")]
    answer = await admin.call("POST", "/v1/audiences/seed:export", {**asked, "format": "parquet"})
    assert pq.read_table(io.BytesIO(answer.content)).to_pydict() == {"person_token": ["t1", "t2", "t3"]}


async def test_export_that_fails_half_way_is_no_shorter_file(admin: Api, seed: dict[str, object]) -> None:
    async def refused(partner: str, audience_id: str = "seed", form: str = "csv") -> int:
        body = {"partner": partner, "purpose": "targeting", "format": form}
        return (await admin.call("POST", f"/v1/audiences/{audience_id}:export", body)).status_code

    assert await refused("broken") == 503
    assert await refused("broken", form="parquet") == 503
    assert await refused("nobody") == 400
    assert await refused("dsp", "missing") == 404
    assert await refused("Not a name") == 400


async def test_export_is_for_admins(admin: Api, seed: dict[str, object], outsiders: Outsiders) -> None:
    owner = await admin.key_for("advertiser", "acme")
    body = {"partner": "dsp", "purpose": "targeting"}
    assert (await owner.call("POST", "/v1/audiences/seed:export", body)).status_code == 403
    assert outsiders.exports.asked == []
