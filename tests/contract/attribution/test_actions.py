"""Engagements and lead events: what is taken in, and which click they are credited to."""

from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.intake import CLOCK_SKEW_US, ORDER_AGE_US
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US, HOUR_US, to_timestamp
from bihuan_shared.person_change import PersonPart, PersonsChange

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

A, B = 7, 9
AS_A, AS_B = 5, 2**63 + 5
ENGAGEMENT, LEAD = common_pb2.EVENT_TYPE_ENGAGEMENT, common_pb2.EVENT_TYPE_LEAD


def action(
    world: "World",
    event_id: str,
    event_type: "common_pb2.EventType.ValueType" = ENGAGEMENT,
    *,
    person: int = A,
    sighting: int = AS_A,
    at_us: int | None = None,
) -> event_pb2.Event:
    event = event_pb2.Event(event_type=event_type, event_id=event_id)
    event.action.advertiser_id, event.action.name = "acme", "video_75"
    event.action.action_time.CopyFrom(to_timestamp(world.clock.now_us() if at_us is None else at_us))
    if person:
        event.person.person_id, event.sighting_id = person, sighting
        event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    return event


async def click(world: "World", name: str, terms: "CampaignTerms", person: int = A, sighting: int = AS_A) -> None:
    token = world.token(name, terms, person=person, sighting=sighting)
    await world.record(world.beacon("impression", token), world.beacon("click", token))
    await world.bill()


async def counted(world: "World") -> dict[str, tuple[int, int]]:
    """Engagements and leads by campaign, where there are any."""
    lines = await world.reports.query(ReportQuery((Dimension.CAMPAIGN,), None, None, (), (), 100))
    figures = {line.values[0]: (line.figures.engagements, line.figures.leads) for line in lines}
    return {name: both for name, both in figures.items() if any(both)}


async def test_actions_count_for_the_last_click_and_a_late_click_moves_them(
    world: "World", cps: "CampaignTerms"
) -> None:
    start_us = world.clock.now_us()
    await click(world, "first", cps)
    world.clock.advance_us(2 * HOUR_US)
    await world.record(action(world, "e1"), action(world, "l1", LEAD))
    await world.bill()
    assert await counted(world) == {"cps-1": (1, 1)}
    token = world.token("late")
    beacons = [world.beacon(kind, token, start_us + HOUR_US) for kind in ("impression", "click")]
    await world.record(*beacons)
    await world.bill()
    assert await counted(world) == {"cpm-1": (1, 1)}
    assert sum(line.figures.orders for line in await world.reports.query(ReportQuery((), None, None, (), (), 9))) == 0
    await world.reconcile()


async def test_an_action_out_of_the_window_counts_for_nobody(world: "World", cps: "CampaignTerms") -> None:
    await click(world, "c1", cps)
    world.clock.advance_us(16 * DAY_US)
    await world.record(action(world, "e1"))
    await world.bill()
    assert await counted(world) == {}


async def test_an_action_on_one_device_follows_a_click_on_another_while_they_are_linked(
    world: "World", cps: "CampaignTerms"
) -> None:
    await click(world, "c1", cps, B, AS_B)
    world.clock.advance_us(HOUR_US)
    await world.record(action(world, "before"))
    await world.bill()
    assert await counted(world) == {}
    await world.persons.follow(PersonsChange(1, 0, (A, B), (PersonPart(A),)))
    await world.record(action(world, "linked"))
    await world.bill()
    assert await counted(world) == {"cps-1": (1, 0)}
    parts = (PersonPart(A, frozenset([AS_A])), PersonPart(B, frozenset([AS_B])))
    await world.persons.follow(PersonsChange(2, 0, (A,), parts))
    await world.record(action(world, "unlinked"), action(world, "there", LEAD, person=B, sighting=AS_B))
    await world.bill()
    # What was credited stays, whatever becomes of the person.
    assert await counted(world) == {"cps-1": (1, 1)}


async def test_a_repeat_is_a_duplicate_another_body_a_conflict_and_another_type_another_event(world: "World") -> None:
    first = action(world, "e1")
    other = action(world, "e1")
    other.action.name = "share"
    results = await world.record(first, first, other, action(world, "e1", LEAD))
    assert [one.outcome.value for one in results] == ["ACCEPTED", "DUPLICATE", "CONFLICT", "ACCEPTED"]
    assert (results[2].reason, results[2].field) == ("CONTENT_CONFLICT", "event_id")


async def test_an_action_without_a_time_happened_when_it_came_and_may_be_sent_again(
    world: "World", cps: "CampaignTerms"
) -> None:
    await click(world, "c1", cps)
    world.clock.advance_us(HOUR_US)
    event = action(world, "e1")
    event.action.ClearField("action_time")
    (first,) = await world.record(event)
    came_us = world.clock.now_us()
    world.clock.advance_us(HOUR_US)
    (again,) = await world.record(event)
    assert (first.outcome.value, again.outcome.value) == ("ACCEPTED", "DUPLICATE")
    logged = (await world.log.read(0, 10))[-1]
    assert logged.action is not None
    assert (logged.event_time_us, logged.action.action_time_us) == (came_us, came_us)
    await world.bill()
    assert await counted(world) == {"cps-1": (1, 0)}


@pytest.mark.parametrize(
    ("age_us", "reason"),
    [
        (ORDER_AGE_US, ""),
        (ORDER_AGE_US + 1, "TIME_OUT_OF_RANGE"),
        (-CLOCK_SKEW_US, ""),
        (-CLOCK_SKEW_US - 1, "TIME_OUT_OF_RANGE"),
    ],
)
async def test_the_time_of_an_action_lies_within_its_range(world: "World", age_us: int, reason: str) -> None:
    (result,) = await world.record(action(world, "e1", at_us=world.clock.now_us() - age_us))
    assert (result.reason, result.field) == (reason, "action.action_time" if reason else "")


async def test_without_consent_to_measure_no_person_is_kept(world: "World") -> None:
    event = action(world, "e1")
    event.consent.ClearField("purposes")
    await world.record(event)
    (logged,) = await world.log.read(0, 10)
    assert (logged.person_id, logged.sighting_id) == (0, 0)


@pytest.mark.parametrize("field", ["action", "token", "order", "event_id", "person.person_id", "action.reference"])
async def test_the_field_at_fault_is_named(world: "World", field: str) -> None:
    event = action(world, "e1")
    if field == "action":
        event.ClearField("action")
    elif field == "token":
        event.token = world.token("t")
    elif field == "order":
        event.order.CopyFrom(world.order("o").order)
    elif field == "event_id":
        event.event_id = ""
    elif field == "person.person_id":
        event.person.person_id = 2**63
    else:
        event.action.reference = "crm-1"
    (result,) = await world.record(event)
    assert (result.outcome.value, result.reason, result.field) == ("REJECTED", "INVALID_FIELD", field)
