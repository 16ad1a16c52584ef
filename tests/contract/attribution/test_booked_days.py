"""Booked days over a real database: taken in, awarded, charged once, listed."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.booking_list_store import SqlBookingList
from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.booking import Booking, BookingDay, DayState
from bihuan_attribution.domain.booking_day import close_time_us, day_bounds_us
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow, FrequencyCap
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.use_cases.keep_days import DayKeeper, DayQuery
from bihuan_attribution.use_cases.ports import ReportQuery, TermsBatch
from bihuan_shared.clock import DAY_US, HOUR_US, FixedClock, parse_rfc3339_us
from bihuan_shared.errors import AlreadyExists, FailedPrecondition
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk, World

RATE = 3_000_000
NANOS = RATE * 1000
STEPS = ["awarded", "award_positioned", "folded", "states", "entries", "journal", "figures"]


@dataclass
class Shop:
    """A world with a CPD campaign of `acme` and one of `rival`, both in New York."""

    world: "World"
    terms: CampaignTerms
    pushed: list[str]

    def __post_init__(self) -> None:
        self.days = SqlBookingDays(self.world.database)
        self.listing = SqlBookingList(self.world.database)
        self.keeper = self.new_keeper()

    def new_keeper(self, days: SqlBookingDays | None = None) -> DayKeeper:
        async def push(advertiser_id: str) -> None:
            self.pushed.append(advertiser_id)

        return DayKeeper(days or self.days, self.world.clock.now_us, push)

    def set_time(self, text: str) -> None:
        self.world.clock.advance_us(parse_rfc3339_us(text) - self.world.clock.now_us())

    def bid(self, name: str = "b1", start: str = "2026-03-08", end: str = "", **changes: object) -> Booking:
        booking = Booking(
            booking_id=name,
            campaign_id="acme-d",
            advertiser_id="acme",
            placement_id="home",
            keyword="",
            start_date=start,
            end_date=end or start,
            day_rate_micros=RATE,
            currency="USD",
            time_zone="America/New_York",
            create_time_us=self.world.clock.now_us(),
        )
        return replace(booking, **changes)  # type: ignore[arg-type]  # names of its fields

    def rival(self, name: str, **changes: object) -> Booking:
        return self.bid(name, **({"campaign_id": "rival-d", "advertiser_id": "rival"} | changes))  # type: ignore[arg-type]  # as above

    async def put(self, *bookings: Booking) -> int:
        return await self.world.terms.put(TermsBatch(bookings=bookings, take_time_us=self.world.clock.now_us()))

    async def keep(self) -> None:
        await keep(self.keeper)

    async def states(self, start: str = "2026-01-01", end: str = "2026-12-31", **only: object) -> dict[str, str]:
        found = await self.listing.days(query(start, end, **only))
        return {one.cause_id: one.state.name for one in found}

    async def charges(self) -> list[tuple[str, int]]:
        booked = await self.world.ledger.entries("", "", 0, 1000)
        return [
            (one.entry.cause_id, sum(p.amount_nanos for p in one.entry.postings if p.amount_nanos > 0))
            for one in booked
            if one.entry.cause_type == "booking"
        ]


async def keep(keeper: DayKeeper) -> None:
    while await keeper.step():
        pass


def query(start: str, end: str, **only: object) -> DayQuery:
    wanted: dict[str, object] = {"advertiser_id": "", "booking_id": "", "states": frozenset(), "limit": 1000} | only
    return DayQuery(start, end, **wanted)  # type: ignore[arg-type]  # names of its fields


def terms_of(advertiser_id: str, base: CampaignTerms, **changes: object) -> CampaignTerms:
    made = replace(
        base,
        campaign_id=f"{advertiser_id}-d",
        advertiser_id=advertiser_id,
        currency="USD",
        time_zone="America/New_York",
        pricing_model="cpd",
        effective_time_us=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of its fields


@pytest.fixture
async def shop(database_url: str, make_world: object, cps: CampaignTerms) -> AsyncIterator[Shop]:
    database = await Database.open(database_url, schema.metadata, schema="attribution")
    await prepare_heads(database)
    world, base = make_world(database)  # type: ignore[operator]  # the fixture of the package
    made = Shop(world, base, [])
    made.set_time("2026-03-01T00:00:00Z")
    await world.terms.put(TermsBatch([terms_of("acme", base), terms_of("rival", base)]))
    yield made
    await world.recorder.close()
    await database.close()


async def test_a_won_day_is_charged_once_when_it_begins_in_its_own_zone(shop: Shop) -> None:
    await shop.put(shop.bid(), shop.rival("b2", day_rate_micros=RATE - 1))
    shop.set_time("2026-03-07T09:59:59.999999Z")
    await shop.keep()
    assert await shop.states() == {"b1/2026-03-08": "OPEN", "b2/2026-03-08": "OPEN"}
    shop.set_time("2026-03-07T10:00:00Z")
    await shop.keep()
    assert await shop.states() == {"b1/2026-03-08": "WON", "b2/2026-03-08": "OUTBID"}
    shop.set_time("2026-03-08T04:59:59.999999Z")
    await shop.keep()
    assert await shop.charges() == []
    shop.set_time("2026-03-08T05:00:00Z")
    await shop.keep()
    await shop.keep()
    assert await shop.charges() == [("b1/2026-03-08", NANOS)]
    (booked,) = await shop.world.ledger.entries("acme", "acme-d", 0, 9)
    entry = booked.entry
    assert (entry.kind, entry.pricing_model, entry.decision_id) == ("charge", "cpd", "")
    assert (entry.entry_time_us, booked.book_time_us) == (parse_rfc3339_us("2026-03-08T05:00:00Z"),) * 2
    assert await shop.states() == {"b1/2026-03-08": "CHARGED", "b2/2026-03-08": "OUTBID"}
    assert set(shop.pushed) == {"acme"}
    assert await shop.world.charged() == NANOS


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Shanghai", "2026-06-01", 24),
    ],
)
async def test_long_and_short_days_are_charged_once_each_at_their_begin(
    shop: Shop, zone: str, start: str, hours: float
) -> None:
    await shop.world.terms.put(TermsBatch([terms_of("acme", shop.terms, campaign_id="z", time_zone=zone)]))
    before = (date.fromisoformat(start) - timedelta(days=1)).isoformat()
    after = (date.fromisoformat(start) + timedelta(days=1)).isoformat()
    await shop.put(shop.bid("b1", before, after, campaign_id="z", time_zone=zone))
    start_us, end_us = day_bounds_us(date.fromisoformat(start), zone)
    assert (end_us - start_us) / HOUR_US == hours
    for at_us, count in ((start_us - 1, 1), (start_us, 2), (end_us - 1, 2), (end_us, 3)):
        shop.world.clock.advance_us(at_us - shop.world.clock.now_us())
        await shop.keep()
        assert len(await shop.charges()) == count
    spent = await shop.world.database.read(
        lambda c: c.execute(sa.select(schema.budgets).order_by(schema.budgets.c.day)).all()
    )
    assert [(row.day, row.charged_nanos) for row in spent] == [
        ("", 3 * NANOS), (before, NANOS), (start, NANOS), (after, NANOS),
    ]  # fmt: skip


async def test_missed_days_are_charged_in_their_order_after_a_long_absence(shop: Shop) -> None:
    await shop.put(shop.bid("b2", "2026-03-05", "2026-03-20"), shop.bid("b1", "2026-03-10", placement_id="side"))
    shop.set_time("2026-04-20T00:00:00Z")
    await shop.keep()
    charged = await shop.charges()
    assert len(charged) == 17
    assert [cause[-10:] for cause, _ in charged] == sorted(cause[-10:] for cause, _ in charged)
    assert [cause for cause, _ in charged][5:7] == ["b1/2026-03-10", "b2/2026-03-10"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_charges_nothing_twice_and_loses_nothing(shop: Shop, step: str) -> None:
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-09"), shop.rival("b2", placement_id="side"))
    shop.set_time("2026-03-09T12:00:00Z")

    def crash(name: str) -> None:
        if name == step:
            raise RuntimeError(name)

    broken = shop.new_keeper(SqlBookingDays(shop.world.database, crash))
    with pytest.raises(RuntimeError):
        await keep(broken)
    assert await shop.charges() == []
    await shop.keep()
    causes = ["b1/2026-03-08", "b2/2026-03-08", "b1/2026-03-09"]
    assert await shop.charges() == [(cause, NANOS) for cause in causes]
    assert await shop.world.charged() == 3 * NANOS


async def test_a_crash_before_the_balance_was_told_tells_it_after_the_restart(shop: Shop) -> None:
    await shop.put(shop.bid())
    shop.set_time("2026-03-08T12:00:00Z")

    async def lost(_: str) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await DayKeeper(shop.days, shop.world.clock.now_us, lost).step()
    assert shop.pushed == []
    await shop.new_keeper().step()
    assert shop.pushed == ["acme"]


async def test_two_processes_at_once_charge_every_day_once(shop: Shop) -> None:
    await shop.put(*(shop.bid(f"b{n:02}", "2026-03-08", "2026-03-12", placement_id=f"p{n}") for n in range(12)))
    shop.set_time("2026-03-20T00:00:00Z")

    await asyncio.gather(*(keep(shop.new_keeper()) for _ in range(4)))
    charged = await shop.charges()
    assert len(charged) == len(set(charged)) == 60
    assert await shop.world.charged() == 60 * NANOS


async def test_a_clock_that_jumps_charges_nothing_twice_and_reopens_no_bids(shop: Shop) -> None:
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-09"))
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    shop.set_time("2026-03-01T00:00:00Z")
    await shop.keep()
    assert await shop.charges() == [("b1/2026-03-08", NANOS)]
    with pytest.raises(FailedPrecondition):
        await shop.put(shop.bid("late", "2026-03-09", day_rate_micros=RATE * 9))
    shop.set_time("2026-03-09T12:00:00Z")
    await shop.keep()
    assert await shop.charges() == [("b1/2026-03-08", NANOS), ("b1/2026-03-09", NANOS)]


async def test_a_day_that_budget_or_balance_do_not_cover_is_not_charged_at_all(shop: Shop) -> None:
    line = AdvertiserTerms("acme", 1, 0, "USD", "America/New_York", RATE * 2, None)
    tight = terms_of("rival", shop.terms, version=2, daily_micros=RATE - 1)
    await shop.world.terms.put(TermsBatch([tight], advertisers=[line]))
    await shop.world.ledger.deposit("acme", "d1", "USD", NANOS // 2, 1)
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-11"), shop.rival("b2", placement_id="side"))
    shop.set_time("2026-03-12T12:00:00Z")
    await shop.keep()
    assert await shop.states() == {
        "b1/2026-03-08": "CHARGED",
        "b1/2026-03-09": "CHARGED",
        "b1/2026-03-10": "UNFUNDED",
        "b1/2026-03-11": "UNFUNDED",
        "b2/2026-03-08": "UNFUNDED",
    }
    assert await shop.world.ledger.balances("acme") == [
        ("advertiser:prepaid:acme", "USD", 0),
        ("advertiser:receivable:acme", "USD", NANOS * 3 // 2),
    ]
    assert await shop.world.charged() == 2 * NANOS


async def test_a_total_budget_is_met_by_days(shop: Shop) -> None:
    await shop.world.terms.put(TermsBatch([terms_of("acme", shop.terms, version=2, total_micros=RATE * 2)]))
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-10"))
    shop.set_time("2026-03-12T12:00:00Z")
    await shop.keep()
    assert list((await shop.states()).values()) == ["CHARGED", "CHARGED", "UNFUNDED"]


async def test_no_account_is_charged_more_than_it_could_hold(shop: Shop) -> None:
    most = 10**15
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-13", day_rate_micros=most))
    await shop.put(shop.rival("b2", start="2026-03-08", end="2026-03-13", placement_id="side", day_rate_micros=most))
    shop.set_time("2026-03-20T00:00:00Z")
    await shop.keep()
    assert list((await shop.states()).values()).count("CHARGED") == 4
    await shop.world.reconcile()


async def test_a_publisher_gets_its_share_of_the_day_and_the_books_can_be_rebuilt(shop: Shop) -> None:
    place = PlacementTerms("home", 1, 0, "pub", 600_000, "portal")
    await shop.world.terms.put(TermsBatch(placements=[place]))
    await shop.put(shop.bid())
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    assert await shop.world.entries() == [
        (
            "charge",
            "b1/2026-03-08",
            {
                "advertiser:receivable:acme": NANOS,
                "platform:revenue": -NANOS * 4 // 10,
                "publisher:payable:pub": -NANOS * 6 // 10,
            },
        )
    ]
    (row,) = await shop.world.database.read(lambda c: c.execute(sa.select(schema.operations)).all())
    assert (row.kind, row.operation_id, row.time_us) == (
        "booking_day", "b1/2026-03-08", parse_rfc3339_us("2026-03-08T05:00:00Z"),
    )  # fmt: skip
    assert json.loads(row.body) == {
        "booking_id": "b1",
        "date": "2026-03-08",
        "campaign_id": "acme-d",
        "advertiser_id": "acme",
        "placement_id": "home",
        "keyword": "",
        "currency": "USD",
        "amount_nanos": NANOS,
        "payee": "publisher:payable:pub",
        "share_nanos": NANOS * 6 // 10,
    }
    dimensions = (Dimension.CAMPAIGN, Dimension.PLACEMENT, Dimension.PRICING_MODEL, Dimension.HOUR)
    (line,) = await shop.world.reports.query(ReportQuery(dimensions, None, None, (), (), 9))
    assert line.values == ("acme-d", "home", "cpd", "2026-03-08T05:00:00Z")
    assert line.figures.spend_nanos == NANOS


async def test_taken_back_or_stopped_after_the_close_is_charged_all_the_same(shop: Shop) -> None:
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-09"))
    shop.set_time("2026-03-07T12:00:00Z")
    await shop.keep()
    await shop.put(replace(await stored(shop, "b1"), cancel_time_us=shop.world.clock.now_us()))
    await shop.world.terms.put(TermsBatch([terms_of("acme", shop.terms, version=2, stopped=True)]))
    shop.set_time("2026-03-12T12:00:00Z")
    await shop.keep()
    assert await shop.states() == {"b1/2026-03-08": "CHARGED", "b1/2026-03-09": "CANCELLED"}


async def stored(shop: Shop, name: str) -> Booking:
    table = schema.bookings
    row = await shop.world.database.read(lambda c: c.execute(sa.select(table).where(table.c.booking_id == name)).one())
    values = {key: value for key, value in row._mapping.items() if key != "seq"}
    return Booking(**values)


async def test_a_booking_is_taken_once_and_another_content_is_refused(shop: Shop) -> None:
    booking = shop.bid()
    assert [await shop.put(booking), await shop.put(booking)] == [1, 0]
    with pytest.raises(AlreadyExists) as refused:
        await shop.put(replace(booking, day_rate_micros=1))
    assert refused.value.reason == "CONTENT_CONFLICT"
    # A booking that is known stays known when its bids have closed.
    shop.set_time("2026-03-09T00:00:00Z")
    assert await shop.put(booking) == 0
    cancelled = replace(booking, cancel_time_us=shop.world.clock.now_us())
    assert [await shop.put(cancelled), await shop.put(cancelled), await shop.put(booking)] == [1, 0, 0]


async def test_bookings_are_taken_in_all_or_none(shop: Shop) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await shop.put(shop.bid("b1"), shop.bid("b2", campaign_id="unknown"))
    assert refused.value.violations[0].field == "bookings[1].campaign_id"
    with pytest.raises(FailedPrecondition) as closed:
        await shop.put(shop.bid("b3", "2026-03-01"))
    assert closed.value.violations[0].field == "bookings[0].start_date"
    assert await shop.states() == {}


async def test_a_campaign_and_its_booking_may_come_together(shop: Shop) -> None:
    fresh = terms_of("acme", shop.terms, campaign_id="fresh")
    batch = TermsBatch([fresh], bookings=[shop.bid(campaign_id="fresh")], take_time_us=shop.world.clock.now_us())
    assert await shop.world.terms.put(batch) == 2


async def test_a_bid_that_comes_while_its_date_is_awarded_is_refused_or_counts(shop: Shop) -> None:
    """Whoever is first: no bid for a date is taken in after the date was awarded."""
    await shop.put(shop.bid("b1"))
    shop.set_time("2026-03-07T09:59:59Z")
    late = [shop.rival(f"r{n}", day_rate_micros=RATE + n) for n in range(1, 7)]
    early_us = shop.world.clock.now_us()
    closed = FixedClock(close_time_us(date(2026, 3, 8)))

    async def bid(booking: Booking) -> bool:
        try:
            await shop.world.terms.put(TermsBatch(bookings=[booking], take_time_us=early_us))
        except FailedPrecondition:
            return False
        return True

    taken, _ = await asyncio.gather(asyncio.gather(*(bid(one) for one in late)), shop.days.award_next(closed.now_us()))
    states = await shop.states()
    counted = {name for name, yes in zip((one.booking_id for one in late), taken, strict=True) if yes}
    assert set(states) == {"b1/2026-03-08", *(f"{name}/2026-03-08" for name in counted)}
    assert sorted(states.values()).count("WON") == 1


async def test_pages_of_days_join_up_over_what_is_awarded_and_what_is_open(shop: Shop) -> None:
    await shop.put(
        shop.bid("b1", "2026-03-06", "2026-03-12"),
        shop.bid("b2", "2026-03-08", "2026-03-09", placement_id="side"),
        shop.rival("b3", start="2026-03-07", end="2026-03-10", day_rate_micros=1),
    )
    await shop.put(replace(await stored(shop, "b3"), cancel_time_us=shop.world.clock.now_us() + 8 * DAY_US))
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    whole = await shop.listing.days(query("2026-03-01", "2026-03-31"))
    assert [(one.date, one.booking_id) for one in whole] == sorted((one.date, one.booking_id) for one in whole)
    assert len(whole) == 13
    paged: list[BookingDay] = []
    after: tuple[str, ...] = ()
    while page := await shop.listing.days(query("2026-03-01", "2026-03-31", limit=2, after=after)):
        paged += page
        after = (page[-1].date, page[-1].booking_id)
    assert paged == whole
    assert {one.state for one in whole if one.date > "2026-03-09"} == {DayState.OPEN, DayState.CANCELLED}
    assert set(await shop.states(advertiser_id="rival")) == {f"b3/2026-03-{day:02}" for day in range(7, 11)}
    assert set(await shop.states(booking_id="b2")) == {"b2/2026-03-08", "b2/2026-03-09"}
    running = await shop.states(states=frozenset({DayState.WON, DayState.CHARGED}))
    assert running == {
        "b1/2026-03-06": "CHARGED",
        "b1/2026-03-07": "CHARGED",
        "b1/2026-03-08": "CHARGED",
        "b2/2026-03-08": "CHARGED",
        "b1/2026-03-09": "WON",
        "b2/2026-03-09": "WON",
    }
    assert set(await shop.states(states=frozenset({DayState.OPEN}))) == {
        cause for cause, state in (await shop.states()).items() if state == "OPEN"
    }


async def test_impressions_clicks_and_orders_of_a_day_are_counted_and_free(shop: Shop) -> None:
    await shop.put(shop.bid())
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    world = shop.world
    token = world.token("t1", terms_of("acme", shop.terms), price=0)
    order = world.order("e1")
    order.order.currency = "USD"
    await world.record(world.beacon("impression", token), world.beacon("viewable", token), world.beacon("click", token))
    await world.record(order)
    await world.bill()
    assert await world.charged() == NANOS
    lines = await world.reports.query(ReportQuery((Dimension.CAMPAIGN,), None, None, (), (), 9))
    figures = {line.values[0]: line.figures for line in lines}["acme-d"]
    assert (figures.impressions, figures.viewables, figures.clicks, figures.orders) == (1, 1, 1, 1)
    assert (figures.spend_nanos, figures.overrun_nanos) == (NANOS, 0)


async def test_before_a_replay_has_begun_nothing_is_due(shop: Shop) -> None:
    await shop.put(shop.bid())
    shop.set_time("2026-03-12T12:00:00Z")

    async def push(_: str) -> None:
        raise AssertionError("nobody was charged")

    assert await DayKeeper(shop.days, lambda: None, push).step() == 0
    assert await shop.states() == {"b1/2026-03-08": "OPEN"}


async def test_a_day_that_used_the_budget_up_is_shown_and_capped(desk: "Desk") -> None:
    """What is paid is shown: neither a budget nor a balance stops it, and a cap does."""
    cap = FrequencyCap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 1)
    sold = replace(
        desk.terms, campaign_id="cpd-1", pricing_model="cpd", daily_micros=RATE, total_micros=RATE, caps=(cap,)
    )
    await desk.put(sold)
    booking = Booking(
        "b1", "cpd-1", "acme", "home", "", "2023-11-17", "2023-11-17", RATE, "CNY", "Asia/Shanghai", create_time_us=1
    )
    world = desk.world
    await world.terms.put(TermsBatch(bookings=[booking], take_time_us=world.clock.now_us()))
    world.clock.advance_us(parse_rfc3339_us("2023-11-17T04:00:00Z") - world.clock.now_us())
    await keep(DayKeeper(SqlBookingDays(world.database), world.clock.now_us, desk.settler.push_balance))
    assert await world.charged() == NANOS
    assert (await desk.take("r1", ("cpd-1", 0))).index == 0
    assert (await desk.take("r2", ("cpd-1", 0))).outcomes == (ReserveOutcome.CAPPED,)
