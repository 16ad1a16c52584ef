"""A server whose store was lost, whose persons are erased, and who is asked what it holds."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.journal import ATTRIBUTES, BEHAVIOUR
from bihuan_shared.clock import DAY_US, to_timestamp, to_us
from bihuan_shared.lake import open_lake
from bihuan_shared.redis import open_redis

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CLASSES = [
    common.DATA_CLASS_REGISTRATION, common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION, common.DATA_CLASS_SOCIAL
]  # fmt: skip
CONSENT = common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=CLASSES)


def person(person_id: int) -> common.PersonRef:
    return common.PersonRef(person_id=person_id)


async def live(profile: "ProfileServiceAsyncStub", now_us: int) -> None:
    order = pb.BehaviourEvent(
        event_id="o1",
        person=person(7),
        behaviour=common.BEHAVIOUR_ORDER,
        event_time=to_timestamp(now_us - DAY_US),
        tags=["category:tea", "brand:acme"],
        amount=common.Money(currency="USD", micros=12_500_000),
        consent=CONSENT,
        items=[common.PurchasedItem(category="tea", brand="acme", size="", quantity=2)],
    )
    click = pb.BehaviourEvent(
        event_id="c1", person=person(8), behaviour=common.BEHAVIOUR_CLICK, tags=["category:tea"], consent=CONSENT,
        shared_by=person(7), event_time=to_timestamp(now_us),
    )  # fmt: skip
    await profile.IngestEvents(pb.IngestEventsRequest(events=[order, click]))
    update = pb.AttributeUpdate(
        person=person(7), origin="sign-up form", attributes=[pb.Attribute(name="region", text="CH-ZH")]
    )
    await profile.SetAttributes(pb.SetAttributesRequest(updates=[update]))


async def read(profile: "ProfileServiceAsyncStub", person_id: int) -> pb.Profile:
    request = pb.GetProfileRequest(person=person(person_id), purpose=common.PURPOSE_TARGETING, consent=CONSENT)
    return (await profile.GetProfile(request)).profile


async def held(profile: "ProfileServiceAsyncStub", person_id: int) -> list[pb.HeldRecord]:
    parts = profile.ExportProfile(pb.ExportProfileRequest(person=person(person_id)))
    return [record async for part in parts for record in part.records]


async def test_profiles_come_back_after_the_store_was_emptied(start: Start, redis_url: str) -> None:
    profile = await start(redis_url)
    await live(profile, time.time_ns() // 1_000)
    client = await open_redis(redis_url)
    await client.flushall()
    async with asyncio.timeout(30):
        while await client.get("pf:job:rebuild") != b"complete":
            await asyncio.sleep(0.05)
    told = await read(profile, 7)
    assert [(one.name, one.text) for one in told.attributes if not one.derived] == [("region", "CH-ZH")]
    assert [(one.category, one.quantity) for one in told.owned_items] == [("tea", 2)]
    await client.aclose()


async def test_a_person_is_told_everything_with_origin_age_and_end(start: Start, redis_url: str) -> None:
    profile, now_us = await start(redis_url), time.time_ns() // 1_000
    await live(profile, now_us)
    edge = pb.SocialEdge(person=person(7), other=person(9), strength=1, consent=CONSENT)
    await profile.PutSocialEdges(pb.PutSocialEdgesRequest(edges=[edge]))
    records = await held(profile, 7)
    by_kind = {record.kind: record for record in records}
    assert set(by_kind) == {
        "attribute", "event", "interest", "activity", "orders", "owned_item", "relation", "influence", "derived",
        "social_edge",
    }  # fmt: skip
    fact, order = by_kind["attribute"], next(one for one in records if one.kind == "event" and one.name == "o1")
    assert (fact.name, json.loads(fact.value_json), fact.origin) == ("region", "CH-ZH", "sign-up form")
    assert to_us(fact.expire_time) - to_us(fact.time) == 1_095 * DAY_US
    assert (order.origin, to_us(order.time)) == ("call", now_us - DAY_US)
    assert json.loads(order.value_json)["amount"] == {"currency": "USD", "micros": 12_500_000}
    assert by_kind["influence"].data_class == common.DATA_CLASS_SOCIAL
    assert all(record.data_class and record.origin for record in records)
    # Whoever acted on what was shared is not told.
    assert not any("8" in record.name for record in records if json.loads(record.value_json) == {"echo": True})
    assert await held(profile, 4_711) == []


async def test_an_erased_person_is_gone_from_the_lake_soon(start: Start, redis_url: str, tmp_path: Path) -> None:
    profile = await start(redis_url)
    await live(profile, time.time_ns() // 1_000)
    lake = open_lake(str(tmp_path / "lake"))

    def persons() -> set[int]:
        paths = [path for dataset in (BEHAVIOUR, ATTRIBUTES) for path in lake.list(dataset)]
        return {one for path in paths for one in lake.read(path, columns=["person_id"])["person_id"].to_pylist()}

    assert persons() == {7, 8}
    assert (await profile.DeleteProfile(pb.DeleteProfileRequest(person=person(7)))).deleted
    assert await held(profile, 7) == []
    async with asyncio.timeout(30):
        while persons() != {8}:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("asked", [0, 1])
async def test_erasing_somebody_unknown_is_no_error(start: Start, redis_url: str, asked: int) -> None:
    profile = await start(redis_url)
    for _ in range(asked + 1):
        assert not (await profile.DeleteProfile(pb.DeleteProfileRequest(person=person(99)))).deleted
