"""The figures of reports equal a recomputation, whatever happened in which sequence."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.domain.accounts import PlacementTerms
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import Finding
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.domain.report import FIGURE_NAMES, Dimension
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.figure_audit_store import SqlFigureAudit
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.use_cases.figure_audit import FigureDifference
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US, HOUR_US, MINUTE_US, to_timestamp
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

MakeWorld = Callable[[Database], "tuple[World, CampaignTerms]"]
LIMITS = TrafficLimits(min_click_delay_us=200, clicks_per_creative=1, clicks_per_person=2, clicks_per_address=0)
CLICK = EventType.CLICK
KINDS = ("impression", "click", "viewable", "landing", "bot")
ACTIONS = {"engagement": common_pb2.EVENT_TYPE_ENGAGEMENT, "lead": common_pb2.EVENT_TYPE_LEAD}
STATUSES = {
    "paid": event_pb2.ORDER_STATUS_PAID,
    "done": event_pb2.ORDER_STATUS_COMPLETED,
    "cancelled": event_pb2.ORDER_STATUS_CANCELLED,
}
Step = tuple[str, int, int]
MINUTES = st.integers(0, 90)
beacons = st.tuples(st.sampled_from(KINDS), st.integers(0, 9), MINUTES)
orders = st.tuples(st.sampled_from(("order", "engagement", "lead")), st.integers(0, 3), MINUTES)
updates = st.tuples(st.sampled_from(tuple(STATUSES)), st.integers(0, 3), MINUTES)
refunds = st.tuples(st.just("refund"), st.integers(0, 3), st.integers(1, 900))
BETWEEN = st.tuples(st.sampled_from(("finding", "finding", "merge", "erase")), st.integers(0, 9))
histories = st.lists(st.one_of(beacons, beacons, orders, updates, refunds), min_size=1, max_size=60)


def action(world: "World", kind: str, number: int, at_us: int) -> event_pb2.Event:
    event = event_pb2.Event(
        event_type=ACTIONS[kind], event_id=f"{kind}-{number}", receive_time=to_timestamp(world.clock.now_us())
    )
    event.action.advertiser_id, event.action.name, event.action.click_id = "acme", "sign_up", f"t{number}"
    event.action.action_time.CopyFrom(to_timestamp(at_us))
    event.person.person_id = 1 + number % 2
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    return event


def build_event(world: "World", terms: "list[CampaignTerms]", step: Step) -> event_pb2.Event:
    kind, number, amount = step
    at_us = world.clock.now_us() - 2 * HOUR_US + amount * MINUTE_US
    if kind in KINDS:
        token = world.token(f"t{number}", terms[number % len(terms)], price=1 + number, person=number % 3)
        event = world.beacon("impression" if kind == "bot" else kind, token, at_us)
        event.signals.known_bot = kind == "bot"
        return event
    if kind in ACTIONS:
        return action(world, kind, number, at_us)
    order_id, event_id = f"o{number}", f"{kind}-{number}-{amount}"
    if kind == "order":
        paid = [100 + amount, 333]
        return world.order(event_id, order_id, paid=paid, person=number % 3, click_id=f"t{number}", at_us=at_us)
    if kind == "refund":
        return world.refund(event_id, amount, order_id)
    return world.order(event_id, order_id, status=STATUSES[kind], update=True)


async def intervene(world: "World", number: int, kind: str, told: int) -> None:
    """A late finding, or two persons that are one, or one that is nobody any more."""
    if kind == "finding":
        event = tuple(EventType)[told % 3]
        finding = Finding(f"f{number}", "farm", ((event, f"t{told}"),))
        await SqlFindings(world.database).credit(finding, world.clock.now_us())
        return
    parts = (PersonPart(1),) if kind == "merge" else ()
    before = (1, 2) if kind == "merge" else (1 + told % 2,)
    await world.persons.follow(PersonsChange(await world.persons.position() + 1, 0, before, parts))


async def play(
    folder: str, make_world: MakeWorld, steps: tuple[list[Step], list[tuple[str, int]]], batch: int, total: int
) -> None:
    history, between = steps
    database = await Database.open(f"sqlite:///{Path(folder) / 'a.db'}", schema.metadata, schema="attribution")
    try:
        await prepare_heads(database)
        world, plain = make_world(database)
        terms = [
            replace(plain, total_micros=total),
            replace(plain, campaign_id="c", pricing_model="cpc", daily_micros=total, item_ids=("i1",)),
            replace(plain, campaign_id="s", pricing_model="cps", commission_rate_ppm=123_457, promoter_share_ppm=1),
            replace(plain, campaign_id="v", bills_viewable=True, item_ids=("x",)),
            replace(plain, campaign_id="s2", pricing_model="cps", commission_rate_ppm=777, click_window_us=DAY_US),
        ]
        await world.terms.put(TermsBatch(terms))
        world.billing = SqlBilling(database, world.clock, LIMITS)
        half, number = len(history) // 2, 0
        for part in (history[:half], history[half:]):
            if part:
                await world.record(*(build_event(world, terms, step) for step in part))
            await world.bill(batch)
            for kind, told in between:
                number += 1
                await intervene(world, number, kind, told)
            world.clock.advance_us(HOUR_US)
        found = await SqlFigureAudit(database).compare()
        assert found.differences == ()
    finally:
        await world.recorder.close()
        await database.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, batch=st.sampled_from([1, 2, 7, 100]), total=st.sampled_from([0, 0, 1]), data=st.data())
def test_figures_equal_a_recomputation(
    make_world: MakeWorld, history: list[Step], batch: int, total: int, data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=10))
    between = data.draw(st.lists(BETWEEN, max_size=3))
    with TemporaryDirectory() as folder:
        asyncio.run(play(folder, make_world, (history + repeated, between), batch, total))


async def everything(world: "World") -> None:
    """A little of all that figures count."""
    world.billing = SqlBilling(world.database, world.clock, replace(LIMITS, min_click_delay_us=0))
    terms = (await world.terms.since(0))[1]
    early, late, sale = (world.token(name, terms[1 + (name == "s")]) for name in ("a", "b", "s"))
    now_us = world.clock.now_us()
    await world.record(
        *(world.beacon("impression", token) for token in (early, late, sale)),
        world.beacon("viewable", early),
        world.beacon("landing", early),
        world.beacon("click", late, now_us + 2),
        world.beacon("click", sale, now_us + 3),
        world.order("e1", at_us=now_us + 9, click_id="s"),
        action(world, "lead", 1, now_us + 9),
    )
    await world.bill()
    # The earlier click is the billable one of its hour, and comes last.
    await world.record(world.beacon("click", early, now_us + 1), world.refund("e2", 40_000_000))
    await world.bill()


async def test_a_recomputation_knows_refunds_displaced_clicks_and_actions(world: "World") -> None:
    await everything(world)
    found = await SqlFigureAudit(world.database).compare()
    assert (found.differences, found.position) == ((), 11)
    (line,) = await world.reports.query(ReportQuery((), None, None, (), (), 10))
    figures = line.figures
    assert (figures.impressions, figures.clicks, figures.invalid_events) == (3, 1, 2)
    assert (figures.orders, figures.order_value_micros, figures.person_impressions) == (1, 60_000_000, 3)


async def test_a_recomputation_knows_late_findings_and_who_was_erased_before(world: "World") -> None:
    await everything(world)
    await world.persons.follow(PersonsChange(1, 0, (7,), ()))
    finding = Finding("f1", "farm", tuple((kind, name) for kind in (EventType.IMPRESSION, CLICK) for name in "abs"))
    done = await SqlFindings(world.database).credit(finding, world.clock.now_us())
    assert len(done.credits) == 1
    cpm = world.token("m", (await world.terms.since(0))[1][0])
    await world.record(world.beacon("impression", cpm))
    await world.bill()
    late = Finding("f2", "farm", ((EventType.IMPRESSION, "m"),))
    await SqlFindings(world.database).credit(late, world.clock.now_us())
    assert (await SqlFigureAudit(world.database).compare()).differences == ()


async def test_an_impression_of_somebody_who_was_erased_is_taken_back_whole(world: "World") -> None:
    await world.record(world.beacon("impression", world.token("m")))
    await world.bill()
    await world.persons.follow(PersonsChange(1, 0, (7,), ()))
    finding = Finding("f1", "farm", ((EventType.IMPRESSION, "m"),))
    await SqlFindings(world.database).credit(finding, world.clock.now_us())
    (line,) = await world.reports.query(ReportQuery((), None, None, (), (), 10))
    assert (line.figures.impressions, line.figures.person_impressions, line.figures.invalid_events) == (0, 0, 1)
    assert (await SqlFigureAudit(world.database).compare()).differences == ()


async def test_an_order_that_a_late_finding_was_credited_with_stays_in_the_figures(world: "World") -> None:
    await everything(world)
    finding = Finding("f1", "farm", ((CLICK, "a"), (CLICK, "s")))
    await SqlFindings(world.database).credit(finding, world.clock.now_us())
    (line,) = await world.reports.query(ReportQuery((), None, None, (), (), 10))
    assert line.figures.orders == 1
    assert (await SqlFigureAudit(world.database).compare()).differences == ()


async def test_a_recomputation_knows_booked_days(world: "World") -> None:
    now_us = world.clock.now_us()
    cpd = replace((await world.terms.since(0))[1][0], campaign_id="cpd-1", pricing_model="cpd")
    booking = Booking(
        booking_id="b1",
        campaign_id="cpd-1",
        advertiser_id="acme",
        placement_id="pl",
        keyword="",
        start_date="2023-11-20",
        end_date="2023-11-21",
        day_rate_micros=3_000_000,
        currency="CNY",
        time_zone="Asia/Shanghai",
        create_time_us=now_us,
    )
    placement = PlacementTerms("pl", 1, now_us, "pub", 500_000, "video")
    await world.terms.put(TermsBatch([cpd], placements=[placement], bookings=[booking], take_time_us=now_us))
    world.clock.advance_us(10 * DAY_US)
    days = SqlBookingDays(world.database)
    while await days.award_next(world.clock.now_us()):
        pass
    assert len(await days.charge_due(world.clock.now_us(), 10)) == 2
    found = await SqlFigureAudit(world.database).compare()
    assert (found.row_count, found.differences) == (2, ())
    (line,) = await world.reports.query(ReportQuery((Dimension.PRICING_MODEL,), None, None, (), (), 10))
    assert (line.values, line.figures.spend_nanos) == (("cpd",), 6_000_000_000)


async def test_an_altered_figure_is_found_and_named(world: "World") -> None:
    await everything(world)
    change = schema.figures.update().where(schema.figures.c.campaign_id == "cpc-1", schema.figures.c.clicks > 0)
    await world.database.write(lambda c: c.execute(change.values(landings=7, clicks=schema.figures.c.clicks + 1)))
    found = (await SqlFigureAudit(world.database).compare()).differences
    assert {(one.figure, one.held - one.recomputed) for one in found} == {("clicks", 1), ("landings", 6)}
    assert dict(found[0].row)["campaign"] == "cpc-1"


async def test_a_row_that_is_missing_is_found(world: "World") -> None:
    await everything(world)
    await world.database.write(lambda c: c.execute(schema.figures.delete()))
    found = (await SqlFigureAudit(world.database).compare()).differences
    assert all(one.held == 0 and isinstance(one, FigureDifference) for one in found)
    assert {"impressions", "spend_nanos", "order_value_micros", "leads"} & {one.figure for one in found}


async def test_a_report_is_as_it_was_believed_at_an_hour(world: "World") -> None:
    hour_us = world.clock.now_us() - world.clock.now_us() % HOUR_US
    await world.record(world.beacon("impression", world.token("t1")))
    await world.bill()
    world.clock.advance_us(HOUR_US)
    await world.record(world.beacon("impression", world.token("t2"), hour_us))
    await world.bill()
    asked = ReportQuery((Dimension.HOUR,), None, None, (), (), 10)
    counts = [
        [line.figures.impressions for line in await world.reports.query(replace(asked, as_of_us=as_of_us))]
        for as_of_us in (hour_us, hour_us + HOUR_US, hour_us + 2 * HOUR_US, None)
    ]
    assert counts == [[], [1], [2], [2]]


async def test_reports_are_split_by_every_dimension(world: "World") -> None:
    await everything(world)
    for dimension in Dimension:
        lines = await world.reports.query(ReportQuery((dimension,), None, None, (), (), 100))
        assert sum(line.figures.impressions for line in lines) == 3
    (line,) = await world.reports.query(ReportQuery((Dimension.AD_GROUP,), None, None, (), (), 100))
    assert line.values == ("ag",)
    assert set(FIGURE_NAMES) <= {column.name for column in sa.inspect(schema.figures).columns}
