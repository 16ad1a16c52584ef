"""Resources through the HTTP API: creating, listing, changing, repeating, serving."""

import pytest
from fastapi import FastAPI

from bihuan_gateway.control.snapshot import ServingSnapshot
from tests.unit.gateway_control.outsiders import Api, Outsiders, campaign


def serving(app: FastAPI) -> ServingSnapshot:
    snapshot = app.state.snapshots.current()
    assert isinstance(snapshot, ServingSnapshot)
    return snapshot


async def test_campaign_tree_serves_as_soon_as_it_is_written(app: FastAPI, tree: dict[str, object]) -> None:
    snapshot = serving(app)
    assert tree["terms_acked"] is True
    assert set(snapshot.campaigns) == {"c1"}
    assert snapshot.campaigns["c1"].advertiser.currency == "USD"
    assert [group.id for group in snapshot.ad_groups_for("p1", [])] == ["g1"]
    assert [creative.id for creative in snapshot.creatives_by_ad_group["g1"]] == ["k1"]
    assert snapshot.placements["p1"].width == 300


async def test_campaign_serves_only_once_its_newest_terms_are_acknowledged(
    app: FastAPI, admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    outsiders.attribution.away = True
    answer = await admin.call("PATCH", "/v1/campaigns/c1", {"budget": {"daily_micros": 5}})
    assert answer.status_code == 200
    assert (answer.json()["terms_version"], answer.json()["terms_acked_version"]) == (2, 1)
    assert serving(app).campaigns == {}
    outsiders.attribution.away = False
    await admin.call("PATCH", "/v1/campaigns/c1", {"budget": {"daily_micros": 6}})
    assert serving(app).campaigns["c1"].terms_version == 3
    # The version between may have been pushed meanwhile, or never; none comes after a newer one.
    assert [terms.version for terms in outsiders.attribution.terms] in ([1, 3], [1, 2, 3])
    assert outsiders.attribution.terms[-1].daily_micros == 6


async def test_pausing_a_campaign_stops_serving_and_its_terms(
    app: FastAPI, admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    await admin.call("PATCH", "/v1/campaigns/c1", {"status": "paused"})
    assert serving(app).campaigns == {}
    assert outsiders.attribution.terms[-1].stopped


async def test_same_idempotency_key_and_body_gives_the_same_answer(admin: Api, tree: dict[str, object]) -> None:
    body = campaign(display_name="Twice")
    first = await admin.make("/v1/campaigns", body, idempotency_key="k-1")
    await admin.call("PATCH", f"/v1/campaigns/{first['id']}", {"display_name": "Later"})
    again = await admin.call("POST", "/v1/campaigns", body, idempotency_key="k-1")
    assert again.status_code == 201
    assert again.json()["display_name"] == "Twice"
    assert again.json()["id"] == first["id"]
    page = await admin.get("/v1/campaigns")
    assert len(list(page["campaigns"])) == 2  # type: ignore[call-overload]  # a list in JSON


async def test_same_idempotency_key_with_another_body_conflicts(admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/campaigns", campaign(), idempotency_key="k-1")
    answer = await admin.call("POST", "/v1/campaigns", campaign(display_name="Other"), idempotency_key="k-1")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:bihuan:CONTENT_CONFLICT"


async def test_idempotency_keys_of_two_callers_do_not_meet(admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/advertisers", {"id": "other", "display_name": "O", "currency": "EUR"})
    first = await admin.key_for("advertiser", "acme")
    second = await admin.key_for("advertiser", "other")
    one = await first.make("/v1/campaigns", campaign("acme"), idempotency_key="same")
    two = await second.make("/v1/campaigns", campaign("other"), idempotency_key="same")
    assert one["id"] != two["id"]


async def test_taken_id_conflicts(admin: Api, tree: dict[str, object]) -> None:
    answer = await admin.call("POST", "/v1/campaigns", campaign(id="c1"))
    assert answer.status_code == 409


async def test_listing_pages_by_id_and_ends(admin: Api, tree: dict[str, object]) -> None:
    for name in ("a", "b", "d"):
        await admin.make("/v1/campaigns", campaign(id=name))
    seen: list[str] = []
    token = ""
    while True:
        page = await admin.call("GET", f"/v1/campaigns?page_size=2&page_token={token}")
        seen += [one["id"] for one in page.json()["campaigns"]]
        token = page.json()["next_page_token"]
        if not token:
            break
    assert seen == ["a", "b", "c1", "d"]


async def test_listing_can_be_held_to_a_parent(admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/campaigns", campaign(id="c2"))
    assert len((await admin.call("GET", "/v1/ad-groups?campaign_id=c1")).json()["ad_groups"]) == 1
    assert (await admin.call("GET", "/v1/ad-groups?campaign_id=c2")).json()["ad_groups"] == []


async def test_patch_with_an_old_version_is_refused(admin: Api, tree: dict[str, object]) -> None:
    first = await admin.call("PATCH", "/v1/campaigns/c1", {"display_name": "A", "version": 1})
    assert first.status_code == 200
    assert first.headers["etag"] == '"2"'
    assert (await admin.call("PATCH", "/v1/campaigns/c1", {"display_name": "B", "version": 1})).status_code == 409
    assert (await admin.call("PATCH", "/v1/campaigns/c1", {"display_name": "B"}, if_match='"1"')).status_code == 409
    assert (await admin.call("PATCH", "/v1/campaigns/c1", {"display_name": "B"}, if_match='"2"')).status_code == 200


async def test_patch_that_changes_nothing_makes_no_version(admin: Api, tree: dict[str, object]) -> None:
    answer = await admin.call("PATCH", "/v1/campaigns/c1", {"display_name": "Spring"})
    assert answer.json()["version"] == 1


async def test_patch_merges_nested_objects_and_null_returns_to_the_default(admin: Api, tree: dict[str, object]) -> None:
    pricing = {"model": "cps", "bid_micros": None, "commission_rate_ppm": 100_000, "expected_order_micros": 5}
    answer = await admin.call("PATCH", "/v1/campaigns/c1", {"pricing": pricing})
    assert answer.status_code == 200, answer.text
    assert answer.json()["pricing"]["bid_micros"] == 0
    assert answer.json()["budget"]["daily_micros"] == 10_000_000


async def test_patch_cannot_move_a_resource_to_another_parent(admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/campaigns", campaign(id="c2"))
    answer = await admin.call("PATCH", "/v1/ad-groups/g1", {"campaign_id": "c2"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/campaign_id"


@pytest.mark.parametrize(
    ("pricing", "status"),
    [
        ({"model": "cpm"}, 400),
        ({"model": "cps", "commission_rate_ppm": 5}, 400),
        ({"model": "cpc", "bid_micros": 5, "commission_rate_ppm": 5}, 400),
        ({"model": "cpc", "bid_micros": 5, "cpm_trigger": "viewable"}, 400),
        ({"model": "cpm", "bid_micros": 10**12 + 1}, 400),
        ({"model": "cpm", "bid_micros": -1}, 400),
        ({"model": "cpm", "bid_micros": 1.0}, 400),
        ({"model": "cpm", "bid_micros": True}, 400),
        ({"model": "cpm", "bid_micros": "1"}, 400),
        ({"model": "cpd", "day_rate_micros": 5}, 201),
        ({"model": "cpd"}, 400),
        ({"model": "cpd", "day_rate_micros": 5, "bid_micros": 5}, 400),
        ({"model": "cps", "commission_rate_ppm": 5, "expected_order_micros": 7}, 201),
    ],
)
async def test_pricing_must_fit_its_model(
    admin: Api, tree: dict[str, object], pricing: dict[str, object], status: int
) -> None:
    answer = await admin.call("POST", "/v1/campaigns", campaign(pricing=pricing))
    assert answer.status_code == status, answer.text
    if status != 201:
        assert answer.json()["errors"][0]["pointer"].startswith("/pricing")


async def test_ad_group_expression_is_checked_and_the_column_named(admin: Api, tree: dict[str, object]) -> None:
    body = {"campaign_id": "c1", "display_name": "G", "targeting": 'age > 20 and shoe == "x"'}
    answer = await admin.call("POST", "/v1/ad-groups", body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:bihuan:EXPRESSION_INVALID"
    assert answer.json()["errors"][0]["pointer"] == "/targeting"
    assert "column 14" in answer.json()["detail"]


async def test_ad_group_with_targeting_serves_its_parsed_expression(
    app: FastAPI, admin: Api, tree: dict[str, object]
) -> None:
    body = {"id": "g2", "campaign_id": "c1", "display_name": "G", "targeting": "age > 20", "keywords": ["tea"]}
    await admin.make("/v1/ad-groups", body)
    await admin.make("/v1/creatives", {"ad_group_id": "g2", "landing_url": "http://shop.example/"})
    groups = serving(app).ad_groups_for("p1", ["tea"])
    assert [group.id for group in groups] == ["g1", "g2"]
    assert groups[1].expression is not None
    assert [group.id for group in serving(app).ad_groups_for("p1", [])] == ["g1"]


async def test_ad_group_cannot_name_what_does_not_exist(admin: Api, tree: dict[str, object]) -> None:
    for changes, pointer in (
        ({"audience_ids": {"include": ["nobody"]}}, "/audience_ids/include/0"),
        ({"placement_ids": ["p1", "nowhere"]}, "/placement_ids/1"),
        ({"targeting": 'audience("nobody")'}, "/targeting"),
        ({"bid_micros": 3_000_000}, "/bid_micros"),
    ):
        body = {"campaign_id": "c1", "display_name": "G", **changes}
        answer = await admin.call("POST", "/v1/ad-groups", body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "url",
    [
        "//evil.example/",
        "javascript:alert(1)",
        "https://user:pw@shop.example/",
        "https://shop.example\\@evil.example/",
        "https:shop.example",
        "https://",
        "https://shop.example/\r\nx: y",
        "https://shöp.example/",
        "https://shop.example:99999/",
        "ftp://shop.example/",
        "/relative",
    ],
)
async def test_landing_url_must_be_plain_absolute_http(admin: Api, tree: dict[str, object], url: str) -> None:
    answer = await admin.call("POST", "/v1/creatives", {"ad_group_id": "g1", "landing_url": url})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/landing_url"


async def test_creative_of_an_advertiser_waits_for_review(app: FastAPI, admin: Api, tree: dict[str, object]) -> None:
    owner = await admin.key_for("advertiser", "acme")
    made = await owner.make("/v1/creatives", {"id": "k2", "ad_group_id": "g1", "landing_url": "https://a.example/"})
    assert made["review"] == "pending"
    assert "k2" not in serving(app).creatives
    assert (await owner.call("PATCH", "/v1/creatives/k2", {"review": "approved"})).status_code == 403
    assert (await admin.call("PATCH", "/v1/creatives/k2", {"review": "approved"})).status_code == 200
    assert "k2" in serving(app).creatives
    changed = await owner.call("PATCH", "/v1/creatives/k2", {"landing_url": "https://b.example/"})
    assert changed.json()["review"] == "pending"
    assert "k2" not in serving(app).creatives


async def test_schedule_is_normal_utc_and_in_order(app: FastAPI, admin: Api, tree: dict[str, object]) -> None:
    schedule = {"start_time": "2026-01-01T01:00:00+01:00", "end_time": "2026-01-02T00:00:00Z"}
    made = await admin.make("/v1/campaigns", campaign(id="c3", schedule=schedule))
    assert made["schedule"] == {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"}
    found = serving(app).campaigns["c3"]
    assert (found.end_time_us - found.start_time_us) == 86_400_000_000
    assert not found.serves_at(found.end_time_us)
    bad = {"start_time": schedule["end_time"], "end_time": schedule["start_time"]}
    assert (await admin.call("POST", "/v1/campaigns", campaign(schedule=bad))).status_code == 400


async def test_another_process_sees_changes_when_it_refreshes(
    app: FastAPI, admin: Api, tree: dict[str, object]
) -> None:
    before = serving(app).version
    await admin.call("PATCH", "/v1/placements/p1", {"floor_micros": 7})
    assert serving(app).version > before
    assert serving(app).placements["p1"].floor_micros == 7
