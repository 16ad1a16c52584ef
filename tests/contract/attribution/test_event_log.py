"""The event log: what is acknowledged, what is told apart, what is kept."""

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.event import Outcome
from bihuan_shared.clock import DAY_US, MINUTE_US, to_timestamp

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World


async def test_accepted_events_are_rows_with_positions_without_gaps(world: "World") -> None:
    results = await world.record(*(world.beacon("impression", world.token(f"t{n}")) for n in range(5)))
    assert [one.outcome for one in results] == [Outcome.ACCEPTED] * 5
    assert [event.position for event in await world.log.read(0, 10)] == [1, 2, 3, 4, 5]


async def test_price_campaign_decision_and_person_come_from_the_token(world: "World") -> None:
    event = world.beacon("impression", world.token("t1", price=77, person=9))
    event.person.person_id = 4711
    await world.record(event)
    (logged,) = await world.log.read(0, 10)
    assert logged.ad is not None
    assert (logged.ad.price_micros, logged.ad.campaign_id, logged.ad.decision_id) == (77, "cpm-1", "d-t1")
    assert logged.person_id == 9


async def test_a_beacon_reloaded_later_is_a_duplicate(world: "World") -> None:
    token = world.token("t1")
    await world.record(world.beacon("impression", token))
    world.clock.advance_us(DAY_US)
    again = world.beacon("impression", token)
    again.client_time.CopyFrom(to_timestamp(world.clock.now_us()))
    (result,) = await world.record(again)
    assert (result.outcome, result.event_id) == (Outcome.DUPLICATE, "t1")


async def test_two_of_one_batch_are_accepted_once(world: "World") -> None:
    token = world.token("t1")
    results = await world.record(world.beacon("click", token), world.beacon("click", token))
    assert [one.outcome for one in results] == [Outcome.ACCEPTED, Outcome.DUPLICATE]


async def test_another_body_under_the_same_id_is_a_conflict_and_both_are_kept(world: "World") -> None:
    await world.record(world.order("e1", paid=[1]))
    for _ in range(2):
        (result,) = await world.record(world.order("e1", paid=[2]))
        assert (result.outcome, result.reason) == (Outcome.CONFLICT, "CONTENT_CONFLICT")
    kept = await world.database.read(lambda c: c.execute(sa.select(schema.conflicts)).all())
    assert len(kept) == 1
    assert len(await world.log.read(0, 10)) == 1


async def test_forged_and_expired_tokens_are_rejected_counted_and_do_not_stop_their_batch(world: "World") -> None:
    good, old = world.token("good"), world.token("old")
    world.clock.advance_us(40 * DAY_US)
    results = await world.record(
        world.beacon("impression", "AQJrMQ"),
        world.beacon("impression", old),
        world.beacon("impression", good, world.clock.now_us() - 39 * DAY_US),
    )
    assert [(one.outcome, one.reason, one.field) for one in results] == [
        (Outcome.REJECTED, "TOKEN_INVALID", "token"),
        (Outcome.REJECTED, "TOKEN_EXPIRED", "token"),
        (Outcome.ACCEPTED, "", ""),
    ]
    await world.record(world.beacon("impression", old))
    rows = await world.database.read(lambda c: c.execute(sa.select(schema.rejections)).all())
    assert {row.reason: row[2] for row in rows} == {"TOKEN_INVALID": 1, "TOKEN_EXPIRED": 2}


@pytest.mark.parametrize(("shift_us", "kept_us"), [(20 * MINUTE_US, 5 * MINUTE_US), (-7, -7)])
async def test_client_time_is_clamped_to_five_minutes(world: "World", shift_us: int, kept_us: int) -> None:
    event = world.beacon("impression", world.token("t1"))
    event.client_time.CopyFrom(to_timestamp(world.clock.now_us() + shift_us))
    await world.record(event)
    (logged,) = await world.log.read(0, 1)
    assert logged.event_time_us - logged.receive_time_us == kept_us


@pytest.mark.parametrize(
    ("age_us", "outcome"),
    [
        (30 * DAY_US, Outcome.ACCEPTED),
        (30 * DAY_US + 1, Outcome.REJECTED),
        (-5 * MINUTE_US, Outcome.ACCEPTED),
        (-5 * MINUTE_US - 1, Outcome.REJECTED),
    ],
)
async def test_orders_come_up_to_thirty_days_back(world: "World", age_us: int, outcome: Outcome) -> None:
    (result,) = await world.record(world.order("e1", at_us=world.clock.now_us() - age_us))
    assert result.outcome is outcome
    assert result.reason == ("" if outcome is Outcome.ACCEPTED else "TIME_OUT_OF_RANGE")


async def test_without_measurement_consent_no_person_is_stored_anywhere(world: "World") -> None:
    event = world.order("e1", person=4711)
    event.consent.purposes[:] = [common_pb2.PURPOSE_TARGETING]
    await world.record(event)
    (logged,) = await world.log.read(0, 1)
    assert logged.person_id == 0
    assert not event_pb2.Event.FromString(logged.body).HasField("person")


async def test_incomplete_events_name_their_field(world: "World") -> None:
    no_items = world.order("e1", paid=[])
    no_order = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id="x")
    no_id = world.order("")
    no_token = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_CLICK)
    other_id = world.beacon("click", world.token("t1"))
    other_id.event_id = "t2"
    huge = world.order("e9", paid=[10**14, 1])
    lead = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_LEAD)
    results = await world.record(no_items, no_order, no_id, no_token, other_id, lead, huge)
    assert [one.outcome for one in results] == [Outcome.REJECTED] * 7
    assert [one.field for one in results] == [
        "order.items",
        "order",
        "event_id",
        "token",
        "event_id",
        "action",
        "order.items",
    ]


async def test_two_hundred_uses_of_one_token_at_once_bill_once(world: "World") -> None:
    token = world.token("t1")
    batches = await asyncio.gather(*(world.record(world.beacon("impression", token)) for _ in range(200)))
    outcomes = [batch[0].outcome for batch in batches]
    assert outcomes.count(Outcome.ACCEPTED) == 1
    assert outcomes.count(Outcome.DUPLICATE) == 199
    await world.bill()
    assert len(await world.entries()) == 1
    assert await world.charged() == 2_000_000


@pytest.mark.parametrize(
    ("ahead_us", "outcome"), [(5 * MINUTE_US, Outcome.ACCEPTED), (5 * MINUTE_US + 1, Outcome.REJECTED)]
)
async def test_a_time_of_receipt_that_has_not_come_is_refused(world: "World", ahead_us: int, outcome: Outcome) -> None:
    (result,) = await world.record(world.beacon("impression", world.token("t1"), world.clock.now_us() + ahead_us))
    assert result.outcome is outcome
    assert result.field == ("" if outcome is Outcome.ACCEPTED else "receive_time")


async def test_a_beacon_whose_consent_lacks_measurement_is_billed_without_its_person(world: "World") -> None:
    event = world.beacon("impression", world.token("t1", person=9))
    event.consent.purposes.append(common_pb2.PURPOSE_TARGETING)
    await world.record(event)
    (logged,) = await world.log.read(0, 1)
    assert logged.person_id == 0
    await world.bill()
    assert await world.charged() == 2_000_000
