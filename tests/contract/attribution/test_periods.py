"""Periods and invoices over a real database."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.invoice import Invoice
from bihuan_attribution.period_store import SqlPeriods
from bihuan_attribution.use_cases import close_period as closing
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import FailedPrecondition, Unavailable
from tests.contract.attribution.settled import PRICE_MICROS, Books, balances, mixed_history

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

CENT = 10_000_000


async def _charged_in_november(world: "World") -> Books:
    books = Books(world)
    await books.shown("cpm-1", "t1")
    await books.shown("cpc-1", "t2")
    await world.bill()
    books.go_to(2023, 12, 1)
    return books


async def test_a_month_is_closed_when_it_is_over_and_not_before(world: "World") -> None:
    books = await _charged_in_november(world)
    world.clock.advance_us(-1)
    with pytest.raises(FailedPrecondition) as refused:
        await books.close("2023-11")
    assert refused.value.violations[0].field == "period"
    world.clock.advance_us(1)
    period, invoices = await books.close("2023-11")
    assert (period.period, period.is_closed, period.last_entry_id) == ("2023-11", True, 3)
    (invoice,) = invoices
    assert [(line.campaign_id, line.pricing_model, line.amount_nanos) for line in invoice.lines] == [
        ("cpc-1", "cpc", PRICE_MICROS * 1_000),
        ("cpm-1", "cpm", PRICE_MICROS),
    ]
    assert [line.rounded_nanos for line in invoice.lines] == [2_350_000_000, 0]
    assert invoice.total_nanos == 2_350_000_000


async def test_closing_again_answers_what_was_made_whatever_came_since(world: "World") -> None:
    books = await _charged_in_november(world)
    first = await books.close("2023-11")
    late = world.beacon("impression", world.token("t3"), world.clock.now_us() - DAY_US)
    await world.record(late)
    await world.bill()
    world.clock.advance_us(60 * DAY_US)
    assert await books.close("2023-11") == first


async def test_what_comes_after_the_close_is_an_adjustment_of_the_next_invoice(world: "World") -> None:
    books = await _charged_in_november(world)
    await books.close("2023-11")
    await world.record(world.beacon("impression", world.token("t3"), world.clock.now_us() - DAY_US))
    await world.record(world.beacon("impression", world.token("t4")))
    await world.bill()
    booked = (await world.ledger.entries("", "cpm-1", 3, 10))[-2:]
    assert [(one.period, one.adjustment) for one in booked] == [("2023-12", True), ("2023-12", False)]
    books.go_to(2024, 1, 1)
    _, (invoice,) = await books.close("2023-12")
    assert [(line.campaign_id, line.adjustment, line.entry_count) for line in invoice.lines] == [
        ("cpm-1", False, 1),
        ("cpm-1", True, 1),
    ]


async def test_months_are_closed_in_their_sequence(world: "World") -> None:
    books = await _charged_in_november(world)
    await world.record(world.beacon("impression", world.token("t3")))
    await world.bill()
    books.go_to(2024, 2, 1)
    with pytest.raises(FailedPrecondition, match="2023-11 holds entries"):
        await books.close("2023-12")
    assert [(one.period, one.is_closed) for one in await books.periods.list_periods()] == [
        ("2023-11", False),
        ("2023-12", False),
    ]
    for period in ("2023-11", "2023-12", "2024-01"):
        await books.close(period)
    with pytest.raises(FailedPrecondition, match="2024-01 is closed"):
        await books.close("2023-10")
    assert [one.period for one in await books.periods.list_periods()] == ["2023-11", "2023-12", "2024-01"]
    assert len(await books.periods.list_invoices("", "", None, 10)) == 2


async def test_a_month_is_not_closed_before_everything_is_billed(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "POLLS", 2)
    books = await _charged_in_november(world)
    await world.record(world.beacon("impression", world.token("t3")))
    with pytest.raises(Unavailable, match="billing is 1 events behind"):
        await books.close("2023-11")
    assert [one.is_closed for one in await books.periods.list_periods()] == [False]
    await world.bill()
    await books.close("2023-11")


async def test_a_month_is_not_closed_before_its_booked_days_are_charged(world: "World") -> None:
    books = await _charged_in_november(world)
    row = {"date": "2023-11-20", "booking_id": "b1", "start_time_us": world.clock.now_us() - DAY_US, "state": 2}
    await world.database.write(lambda c: c.execute(schema.booking_days.insert(), [row]))
    with pytest.raises(Unavailable, match="1 booked days are not charged yet"):
        await books.close("2023-11")
    await books.sql("UPDATE booking_days SET state = 5")
    await books.close("2023-11")


async def test_a_close_waits_for_billing(world: "World") -> None:
    books = await _charged_in_november(world)
    await world.record(world.beacon("impression", world.token("t3")))
    closed, _ = await asyncio.gather(books.close("2023-11"), world.bill())
    assert closed[0].is_closed


async def test_two_closes_at_once_make_one_set_of_invoices(world: "World") -> None:
    books = await _charged_in_november(world)
    answers = await asyncio.gather(*(books.close("2023-11") for _ in range(4)))
    assert all(one == answers[0] for one in answers)
    assert await books.scalar("SELECT COUNT(*) FROM invoices") == 1
    assert await books.scalar("SELECT COUNT(*) FROM entries WHERE kind = 'rounding'") == 1


async def test_billing_and_a_close_at_once_leave_no_entry_behind(world: "World") -> None:
    books = await _charged_in_november(world)
    november = world.clock.now_us() - DAY_US
    head = await books.periods.log_head()
    for number in range(20):
        await world.record(world.beacon("impression", world.token(f"n{number}"), november))
    bills = [world.billing.bill(1) for _ in range(20)]
    close = books.periods.close("2023-11", head, world.clock.now_us())
    (closed, _), _ = await asyncio.gather(close, asyncio.gather(*bills))
    await world.bill()
    for one in await world.ledger.entries("", "", 0, 100):
        assert (one.period == "2023-11") is (one.entry_id <= closed.last_entry_id)
    assert (await books.proof()).faults == ()


STEPS = ["checked", "rounded", "entries", "invoices", "closed"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_of_a_close_leaves_nothing(world: "World", step: str) -> None:
    books = await _charged_in_november(world)

    def crash(name: str) -> None:
        if name == step:
            raise RuntimeError(name)

    before = await balances(world)
    with pytest.raises(RuntimeError):
        await SqlPeriods(world.database, crash).close("2023-11", 0, world.clock.now_us())
    tables = (schema.periods, schema.invoices, schema.invoice_lines, schema.operations)
    sizes = [sa.select(sa.func.count()).select_from(table) for table in tables]
    assert await world.database.read(lambda c: [c.execute(size).scalar_one() for size in sizes]) == [0] * 4
    assert await balances(world) == before
    assert (await books.close("2023-11"))[0].last_entry_id == 3


async def test_an_invoice_is_rounded_once_a_line_and_its_rounding_stays_in_its_period(world: "World") -> None:
    books = await _charged_in_november(world)
    _, (invoice,) = await books.close("2023-11")
    rounding = (await world.ledger.entries("acme", "", 2, 1))[0]
    assert (rounding.entry.kind, rounding.entry.cause_type, rounding.entry.cause_id) == (
        "rounding", "invoice", "acme/2023-11",
    )  # fmt: skip
    assert (rounding.entry_id, rounding.period, rounding.adjustment) == (invoice.rounding_entry_id, "2023-11", False)
    exact = PRICE_MICROS * 1_001
    assert {one.account: one.amount_nanos for one in rounding.entry.postings} == {
        "advertiser:receivable:acme": invoice.total_nanos - exact,
        "platform:rounding": exact - invoice.total_nanos,
    }
    await world.record(world.beacon("impression", world.token("t3")))
    await world.bill()
    books.go_to(2024, 1, 1)
    _, (following,) = await books.close("2023-12")
    assert [line.amount_nanos for line in following.lines] == [2_000_000]


async def test_currencies_are_rounded_to_their_own_smallest_unit(world: "World") -> None:
    books = Books(world)
    plain = await books.terms("cpc-1")
    units = {"JPY": 10**9, "BHD": 10**6, "EUR": 10**7}
    terms = [replace(plain, campaign_id=f"{code}-1", advertiser_id=code, currency=code) for code in units]
    await world.terms.put(TermsBatch(terms))
    for one in terms:
        await books.shown(one.campaign_id, f"t-{one.currency}")
    await world.bill()
    books.go_to(2023, 12, 1)
    _, invoices = await books.close("2023-11")
    assert {one.currency: one.total_nanos for one in invoices} == {
        "JPY": 2_000_000_000,
        "BHD": 2_346_000_000,
        "EUR": 2_350_000_000,
    }
    assert all(one.total_nanos % units[one.currency] == 0 for one in invoices)


async def test_an_invoice_tells_what_the_prepaid_balance_covered(world: "World") -> None:
    books = Books(world)
    await world.ledger.deposit("acme", "dep-1", "CNY", 1_000_000_000, world.clock.now_us())
    await books.shown("cpc-1", "t1")
    await world.bill()
    books.go_to(2023, 12, 1)
    _, (invoice,) = await books.close("2023-11")
    assert (invoice.total_nanos, invoice.prepaid_nanos) == (2_350_000_000, 1_000_000_000)
    held = await balances(world)
    assert held["advertiser:receivable:acme", "CNY"] == invoice.total_nanos - invoice.prepaid_nanos


async def test_estimates_stand_on_no_invoice(world: "World") -> None:
    books = Books(world)
    await books.shown("cps-1", "s1", person=8)
    await books.bought("o1", "s1", 50_000_000, complete=False)
    await world.record(world.refund("o1-3", 10_000_000))
    await world.bill()
    books.go_to(2023, 12, 1)
    assert (await books.close("2023-11"))[1] == []
    await books.completed("o1")
    await world.bill()
    books.go_to(2024, 1, 1)
    _, (invoice,) = await books.close("2023-12")
    assert [(line.pricing_model, line.amount_nanos) for line in invoice.lines] == [("cps", 4_000_000_000)]


async def test_invoices_and_open_items_are_the_ledger(world: "World") -> None:
    """Of every advertiser: the invoices, and what is not invoiced yet, are what its accounts hold less its deposits."""
    books = await mixed_history(world)
    for closes in range(3):
        if closes:
            books.go_to(2024, closes, 1)
            await books.close(f"202{3 + closes // 2}-{12 if closes == 1 else '01'}")
        closed = [one.period for one in await books.periods.list_periods() if one.is_closed]
        owed: Counter[str] = Counter()
        for invoice in await books.periods.list_invoices("", "", None, 100):
            owed[invoice.advertiser_id] += invoice.total_nanos
        for one in await world.ledger.entries("", "", 0, 1_000):
            sides = [p.amount_nanos for p in one.entry.postings if p.account.startswith("advertiser:")]
            estimated = [p.amount_nanos for p in one.entry.postings if p.account.startswith("advertiser:estimated:")]
            if one.period not in closed or one.entry.kind == "deposit":
                owed[one.entry.advertiser_id] += sum(sides) - sum(estimated)
        for advertiser_id in ("acme", "rival"):
            held = await balances(world)
            accounts = [f"advertiser:prepaid:{advertiser_id}", f"advertiser:receivable:{advertiser_id}"]
            assert owed[advertiser_id] == sum(held.get((account, "CNY"), 0) for account in accounts)
        assert (await books.proof()).faults == ()


async def test_invoices_are_listed_in_pages(world: "World") -> None:
    books = await mixed_history(world)
    books.go_to(2024, 1, 1)
    await books.close("2023-12")
    whole = await books.periods.list_invoices("", "", None, 100)
    assert [one.invoice_id for one in whole] == ["acme/2023-11", "acme/2023-12", "rival/2023-11"]
    paged: list[Invoice] = []
    while page := await books.periods.list_invoices(
        "", "", (paged[-1].advertiser_id, paged[-1].period) if paged else None, 1
    ):
        paged += page
    assert paged == whole
    assert await books.periods.list_invoices("rival", "2023-12", None, 10) == []
    assert await books.periods.list_invoices("rival", "", None, 10) == whole[2:]
