"""A click on one device and an order on another, told over the wire, with changes of who is who on the stream."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, MINUTE_US, SystemClock, to_timestamp
from bihuan_shared.errors import NotFound
from bihuan_shared.redis import open_redis
from bihuan_shared.streams import StreamWriter
from bihuan_shared.tokens import TrackingToken

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

CALL_S = 10.0
PATIENCE_S = 20.0
A, B = 7, 9
AS_A, AS_B = 1, 2**64 - 1
Writer = StreamWriter[common_pb2.PersonsChanged]


@pytest.fixture
async def persons(redis_url: str) -> AsyncIterator[Writer]:
    """Identity's end of the stream."""
    client = await open_redis(redis_url)
    yield StreamWriter(client, "persons", shards=1)
    await client.aclose()


async def click(served: "Served") -> None:
    """The click `c1`, of person B."""
    terms = terms_pb2.CampaignTerms(
        campaign_id="c", advertiser_id="acme", version=1, currency="CNY", time_zone="Asia/Shanghai"
    )
    terms.effective_time.CopyFrom(to_timestamp(SystemClock().now_us() - DAY_US))
    terms.pricing.model = terms_pb2.PRICING_MODEL_CPS
    terms.pricing.commission_rate_ppm = 100_000
    await served.stub.PutTerms(pb.PutTermsRequest(terms=[terms]), timeout=CALL_S)
    now_us = SystemClock().now_us()
    facts = TrackingToken(
        "c1", "d1", "cr", "pl", "c", "acme", "ag", 1, "cps", 0, "CNY", B, now_us, now_us + DAY_US, 0, "r1", AS_B
    )
    token = served.keys.seal(facts, b"twelve bytes")
    kinds = (common_pb2.EVENT_TYPE_IMPRESSION, common_pb2.EVENT_TYPE_CLICK)
    events = [event_pb2.Event(event_type=kind, token=token) for kind in kinds]
    await served.stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)


async def credited(served: "Served", order_id: str) -> list[str]:
    """Clicks that an order of person A, told now, is credited to."""
    event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id=order_id, sighting_id=AS_A)
    event.person.person_id = A
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    event.order.order_id, event.order.advertiser_id, event.order.currency = order_id, "acme", "CNY"
    event.order.order_time.CopyFrom(to_timestamp(SystemClock().now_us() + MINUTE_US))
    event.order.status = event_pb2.ORDER_STATUS_PAID
    event.order.items.add(item_id="i1", quantity=1, paid_micros=30_000_000)
    await served.stub.RecordEvents(pb.RecordEventsRequest(events=[event]), timeout=CALL_S)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            asked = pb.GetAttributionRequest(advertiser_id="acme", order_id=order_id)
            found = await served.stub.GetAttribution(asked, timeout=CALL_S)
        except NotFound:
            assert time.monotonic() < deadline, "the order is not billed"
            await asyncio.sleep(0.02)
        else:
            return [touch.event_id for touch in found.touches if touch.credit_ppm]


async def followed(writer: Writer, served: "Served", change: common_pb2.PersonsChanged) -> None:
    """Publish a change, twice as may happen, and wait until attribution has followed it."""
    await writer.append([(0, change), (0, change)])
    deadline = time.monotonic() + PATIENCE_S
    with closing(sqlite3.connect(served.lake.parent / "attribution" / "attribution.db")) as database:
        query = "SELECT COUNT(*) FROM followed_changes WHERE change_id = ?"
        while not database.execute(query, (change.change_id,)).fetchone()[0]:
            assert time.monotonic() < deadline, "the change is not followed"
            await asyncio.sleep(0.02)


async def test_order_is_credited_across_devices_while_they_are_linked(served: "Served", persons: Writer) -> None:
    await click(served)
    assert await credited(served, "before") == []
    merged = common_pb2.PersonsChanged(change_id=1, before_person_ids=[A, B])
    merged.parts.add(person_id=A)
    await followed(persons, served, merged)
    assert await credited(served, "linked") == ["c1"]
    split = common_pb2.PersonsChanged(change_id=2, before_person_ids=[A])
    split.parts.add(person_id=A, sighting_ids=[AS_A])
    split.parts.add(person_id=B, sighting_ids=[AS_B])
    await followed(persons, served, split)
    assert await credited(served, "unlinked") == []
    (currency,) = (await served.stub.Reconcile(pb.ReconcileRequest(), timeout=CALL_S)).currencies
    assert (currency.difference_nanos, currency.ledger_charged_nanos) == (0, 3_000_000_000)
