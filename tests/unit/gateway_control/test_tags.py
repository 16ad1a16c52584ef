"""Tags through the HTTP API: declared, repeated, refused, and invisible to other tenants."""

import asyncio
import contextlib
from typing import Any

import pytest
from fastapi import FastAPI

from bihuan_gateway.control.tag_relay import TagRelay
from bihuan_gateway.control.tags import TagSet, TagSpec
from bihuan_shared.errors import Unavailable
from tests.unit.gateway_control.outsiders import Api, FakeTags, Outsiders, campaign


def vip(**changes: object) -> dict[str, Any]:
    whole = {
        "name": "vip_level",
        "type": "number",
        "data_class": "transaction",
        "purposes": ["targeting"],
        "display_names": {"en": "VIP level", "zh": "贵宾等级"},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def body(*tags: dict[str, Any], advertiser_id: str = "acme") -> dict[str, Any]:
    return {"advertiser_id": advertiser_id, "tags": list(tags)}


async def put(api: Api, *tags: dict[str, Any], advertiser_id: str = "acme", **headers: str) -> dict[str, Any]:
    answer = await api.call("POST", "/v1/tags", body(*tags, advertiser_id=advertiser_id), **headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
async def shop(admin: Api, tree: dict[str, object]) -> Api:
    """The tree of `acme`, and two other tenants; the id of one is no name."""
    for name in ("rival", "big-shop.1"):
        await admin.make("/v1/advertisers", {"id": name, "display_name": "Rival", "currency": "USD"})
    return admin


async def test_a_tag_is_declared_listed_and_handed_to_profile(shop: Api, outsiders: Outsiders) -> None:
    acme = await shop.key_for("advertiser", "acme")
    made = await put(acme, vip(retention_days=30, half_life_days=1.5, iab_audience_id=2))
    assert (made["namespace"], made["changed_count"]) == ("acme", 1)
    (tag,) = made["tags"]
    assert tag == {
        **vip(name="acme.vip_level", values=[], description="", retention_days=30, half_life_days=1.5),
        "iab_audience_id": 2,
        "derived": False,
        "advertiser_id": "acme",
    }
    listed: dict[str, Any] = await acme.get("/v1/tags")
    assert (listed["taxonomy_version"], listed["namespace"]) == ("1+0", "acme")
    platform, own = listed["tags"]
    assert (platform["name"], platform["advertiser_id"], platform["iab_audience_id"]) == ("age", None, 2)
    assert own == tag
    assert [one.name for one in outsiders.tags.held["acme"].tags] == ["acme.vip_level"]


async def test_repeating_changes_nothing_and_a_change_keeps_the_others(shop: Api) -> None:
    await put(shop, vip(), vip(name="second"))
    assert (await put(shop, vip(name="acme.vip_level")))["changed_count"] == 0
    assert (await put(shop, vip(description="Anything else")))["changed_count"] == 1
    names = [one["name"] for one in (await shop.get("/v1/tags?advertiser_id=acme"))["tags"]]  # type: ignore[attr-defined]
    assert names == ["age", "acme.second", "acme.vip_level"]


async def test_the_same_key_answers_what_it_made_and_another_body_conflicts(shop: Api) -> None:
    first = await put(shop, vip(), idempotency_key="k1")
    await put(shop, vip(description="Anything else"))
    assert await put(shop, vip(), idempotency_key="k1") == first
    assert (await shop.call("POST", "/v1/tags", body(vip(type="flag")), idempotency_key="k1")).status_code == 409
    assert (await shop.call("POST", "/v1/campaigns", campaign(), idempotency_key="k1")).status_code == 409


async def test_one_key_asked_at_once_declares_once(shop: Api) -> None:
    made = await asyncio.gather(*(put(shop, vip(), idempotency_key="k1") for _ in range(5)))
    assert [one["changed_count"] for one in made] == [1] * 5


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"name": "Vip"}, 400, "/tags/1/name"),
        ({"name": "rival.vip"}, 400, "/tags/1/name"),
        ({"name": "a.b.c"}, 400, "/tags/1/name"),
        ({"name": "first"}, 400, "/tags/1/name"),
        ({"type": "interest"}, 400, "/tags/1/type"),
        ({"type": None}, 400, "/tags/1/type"),
        ({"data_class": "social"}, 400, "/tags/1/data_class"),
        ({"purposes": []}, 400, "/tags/1/purposes"),
        ({"purposes": ["targeting", "targeting"]}, 400, "/tags/1/purposes"),
        ({"values": ["a"]}, 400, "/tags/1/values"),
        ({"type": "text", "values": ["京" * 43]}, 400, "/tags/1/values/0"),
        ({"description": "京" * 171}, 400, "/tags/1/description"),
        ({"display_names": {"en": ""}}, 400, "/tags/1/display_names/en"),
        ({"retention_days": -1}, 400, "/tags/1/retention_days"),
        ({"half_life_days": 4000}, 400, "/tags/1/half_life_days"),
        ({"iab_audience_id": 0}, 400, "/tags/1/iab_audience_id"),
        ({"derived": True}, 400, "/tags/1/derived"),
    ],
)
async def test_what_does_not_fit_is_refused_by_field_and_whole(
    shop: Api, changes: dict[str, object], status: int, pointer: str
) -> None:
    answer = await shop.call("POST", "/v1/tags", body(vip(name="first"), vip(**changes)))
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert len((await shop.get("/v1/tags?advertiser_id=acme"))["tags"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("type", "flag"), ("data_class", "operation")])
async def test_type_and_class_stay(shop: Api, field: str, value: str) -> None:
    await put(shop, vip())
    answer = await shop.call("POST", "/v1/tags", body(vip(name="first"), vip(**{field: value})))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, f"/tags/1/{field}")
    assert len((await shop.get("/v1/tags?advertiser_id=acme"))["tags"]) == 2  # type: ignore[arg-type]


async def test_an_advertiser_has_a_bounded_number_of_tags(shop: Api) -> None:
    await put(shop, *(vip(name=f"t{index}") for index in range(256)))
    answer = await shop.call("POST", "/v1/tags", body(vip(name="more")))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/tags")
    await put(shop, vip(name="t0", description="Anything else"))
    await put(shop, vip(), advertiser_id="rival")


async def test_tags_of_another_tenant_do_not_exist(shop: Api) -> None:
    await put(shop, vip())
    rival = await shop.key_for("advertiser", "rival")
    assert [one["name"] for one in (await rival.get("/v1/tags"))["tags"]] == ["age"]  # type: ignore[attr-defined]
    assert (await rival.call("GET", "/v1/tags?advertiser_id=acme")).status_code == 404
    assert (await rival.call("POST", "/v1/tags", body(vip()))).status_code == 404
    assert (await shop.call("POST", "/v1/tags", body(vip(), advertiser_id="nobody"))).status_code == 404
    assert (await shop.call("GET", "/v1/tags?advertiser_id=nobody")).status_code == 404


async def test_an_analyst_reads_and_does_not_declare(shop: Api) -> None:
    await put(shop, vip())
    analyst = await shop.key_for("analyst")
    assert (await analyst.call("POST", "/v1/tags", body(vip()))).status_code == 403
    assert (await analyst.get("/v1/tags"))["namespace"] is None
    assert len((await analyst.get("/v1/tags?advertiser_id=acme"))["tags"]) == 2  # type: ignore[arg-type]


async def test_an_id_that_is_no_name_has_a_namespace_of_its_own(shop: Api) -> None:
    made = await put(shop, vip(), advertiser_id="big-shop.1")
    assert str(made["namespace"]).startswith("big_shop_1__")
    assert made["tags"][0]["name"] == f"{made['namespace']}.vip_level"


async def test_an_expression_names_the_platforms_tags_and_the_advertisers_own(shop: Api) -> None:
    await put(shop, vip(), vip(name="for_insight", purposes=["insight"]))
    group = {"campaign_id": "c1", "display_name": "VIPs"}
    await shop.make("/v1/ad-groups", {**group, "targeting": "age > 3 and acme.vip_level >= 2"})
    await shop.make("/v1/audiences", {"advertiser_id": "acme", "display_name": "V", "expression": "acme.vip_level > 1"})
    for text, column in (("acme.nothing > 1", 1), ("age > 3 and acme.for_insight > 1", 13)):
        answer = await shop.call("POST", "/v1/ad-groups", {**group, "targeting": text})
        assert answer.status_code == 400
        assert f"column {column}:" in answer.json()["errors"][0]["detail"]
    await shop.make("/v1/campaigns", campaign("rival", id="r1"))
    foreign = {"campaign_id": "r1", "display_name": "VIPs", "targeting": "age > 3 and acme.vip_level > 1"}
    answer = await shop.call("POST", "/v1/ad-groups", foreign)
    assert answer.status_code == 400
    assert "column 13: expected the name of a tag, and 'acme.vip_level' is none" in answer.json()["detail"]


async def test_a_tag_is_kept_while_profile_is_away(shop: Api, outsiders: Outsiders) -> None:
    outsiders.tags.away = True
    await put(shop, vip())
    assert outsiders.tags.held == {}
    outsiders.tags.away = False
    async with asyncio.timeout(10):
        await outsiders.tags.took.wait()
    assert "acme" in outsiders.tags.held


async def test_only_ad_groups_that_name_private_tags_are_served_with_them(shop: Api, app: FastAPI) -> None:
    await put(shop, vip())
    for name, targeting in (("mine", "acme.vip_level > 1"), ("plain", "age > 1.5"), ("all", "")):
        group = {"id": name, "campaign_id": "c1", "display_name": "G", "targeting": targeting}
        await shop.make("/v1/ad-groups", group)
    groups = app.state.snapshots.current().ad_groups
    assert {name: groups[name].names_private for name in ("mine", "plain", "all")} == {
        "mine": True,
        "plain": False,
        "all": False,
    }


class Kept:
    """An outbox in memory."""

    def __init__(self, *names: str) -> None:
        self.sets = {name: TagSet(name, 1, (TagSpec.model_validate(vip()),)) for name in names}
        self.told: dict[str, str] = {}

    async def untold(self, epoch: str, after: str, limit: int) -> list[TagSet]:
        found = [one for name, one in sorted(self.sets.items()) if self.told.get(name) != epoch and name > after]
        return found[:limit]

    async def note_told(self, told: TagSet, epoch: str) -> None:
        self.told[told.advertiser_id] = epoch


async def test_everything_is_told_again_in_another_life_of_the_store() -> None:
    profile, kept = FakeTags(), Kept(*(f"a{index:03}" for index in range(250)))
    relay = TagRelay(kept, profile, wait_s=1)
    assert await relay.push() == 0
    assert len(profile.held) == 250
    profile.held.clear()
    assert await relay.push() == 0
    assert profile.held == {}
    profile.lose_everything()
    assert await relay.push() == 0
    assert len(profile.held) == 250


async def test_what_is_lost_while_it_is_pushed_is_told_again() -> None:
    profile, kept = FakeTags(), Kept("acme", "rival")

    async def put_and_lose(tags: TagSet) -> None:
        await FakeTags.put_tags(profile, tags)
        if tags.advertiser_id == "rival" and profile.epoch == 1:
            profile.lose_everything()

    profile.put_tags = put_and_lose  # type: ignore[method-assign]  # loses everything once
    relay = TagRelay(kept, profile, wait_s=1)
    await relay.push()
    assert profile.held == {}
    await relay.push()
    assert set(profile.held) == {"acme", "rival"}


async def test_a_refused_set_holds_up_no_other_and_stays() -> None:
    profile, kept = FakeTags(refused="acme"), Kept("acme", "rival")
    assert await TagRelay(kept, profile, wait_s=1).push() == 1
    assert set(profile.held) == {"rival"}
    assert [one.advertiser_id for one in await kept.untold("1", "", 9)] == ["acme"]


async def test_the_relay_goes_on_after_profile_was_away() -> None:
    profile, kept = FakeTags(away=True), Kept("acme")
    relay = TagRelay(kept, profile, wait_s=1, first_retry_s=0.001, slowest_retry_s=0.001)
    with pytest.raises(Unavailable):
        await relay.push()
    await relay.push_soon()
    running = asyncio.create_task(relay.run())
    profile.away = False
    async with asyncio.timeout(10):
        await profile.took.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_tag_is_deleted_by_its_owner_alone_and_profile_is_told(shop: Api, outsiders: Outsiders) -> None:
    acme, rival = await shop.key_for("advertiser", "acme"), await shop.key_for("advertiser", "rival")
    await put(acme, vip(), vip(name="other"))
    for caller, path, status in (
        (rival, "/v1/tags/acme.vip_level?advertiser_id=acme", 404),
        (rival, "/v1/tags/acme.vip_level?advertiser_id=rival", 404),
        (acme, "/v1/tags/age?advertiser_id=acme", 404),
        (acme, "/v1/tags/vip_level", 400),
        (acme, "/v1/tags/vip_level?advertiser_id=acme", 204),
        (acme, "/v1/tags/acme.vip_level?advertiser_id=acme", 404),
    ):
        assert (await caller.call("DELETE", path)).status_code == status, path
    listed = (await acme.call("GET", "/v1/tags")).json()
    assert [tag["name"] for tag in listed["tags"] if tag["advertiser_id"]] == ["acme.other"]
    told = outsiders.tags.held["acme"]
    assert ([tag.name for tag in told.tags], told.lives) == (["acme.other"], {"acme.vip_level": 1})
    made = await put(acme, vip(type="text"))
    assert made["changed_count"] == 1
