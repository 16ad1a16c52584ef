"""Booked days beside everything else: what is shown on them, figures, the proof of the books."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_attribution.domain.terms import CapLevel, CapWindow, FrequencyCap
from bihuan_attribution.figure_audit_store import SqlFigureAudit
from bihuan_attribution.use_cases.keep_days import DayKeeper
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_attribution.verify_store import SqlVerifier
from bihuan_shared.clock import parse_rfc3339_us

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk

from tests.contract.attribution.bookings.conftest import NANOS, RATE, Shop, keep, terms_of


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


async def test_proof_and_figures_agree_with_booked_days(shop: Shop) -> None:
    await shop.put(shop.bid("b1", "2026-03-08", "2026-03-10"), shop.bid("b2", placement_id="", keyword="tea"))
    shop.set_time("2026-03-10T12:00:00Z")
    await shop.keep()
    assert len(await shop.charges()) == 4
    assert await faults(shop) == set()
    audit = await SqlFigureAudit(shop.world.database).compare()
    assert (audit.row_count, audit.differences) == (4, ())


async def faults(shop: Shop) -> set[tuple[str, int]]:
    proof = await SqlVerifier(shop.world.database).verify(0)
    return {(one.invariant, one.entry_id) for one in proof.faults}


@pytest.mark.parametrize(
    ("edit", "invariant"),
    [
        ("day_rate_micros = day_rate_micros + 1", "price"),
        ("state = 5", "cause"),
        ("campaign_id = 'other'", "cause"),
        ("start_time_us = start_time_us + 1", "cause"),
        ("date = '2026-03-09'", "cause"),
    ],
)
async def test_a_day_that_is_not_what_was_charged_is_named_by_the_proof(shop: Shop, edit: str, invariant: str) -> None:
    await shop.put(shop.bid())
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    statement = sa.text(f"UPDATE booking_days SET {edit}")  # noqa: S608  # of this file's own words
    await shop.world.database.write(lambda c: c.execute(statement))
    # A charged day of another date is one without an entry, too.
    assert await faults(shop) - {("cause", 0)} == {(invariant, 1)}
