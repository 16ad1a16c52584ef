"""Days that are won are charged once when they begin, whatever happens."""

import asyncio
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.booking_day import day_bounds_us
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.use_cases.keep_days import DayKeeper
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import HOUR_US, parse_rfc3339_us
from bihuan_shared.errors import FailedPrecondition
from tests.contract.attribution.bookings.conftest import NANOS, RATE, Shop, keep, stored, terms_of

STEPS = ["awarded", "award_positioned", "folded", "states", "entries", "journal", "figures"]


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
