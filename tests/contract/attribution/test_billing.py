"""Billing over a real database: books, budgets, restarts, reports."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.report import Dimension, ReportLine
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US, HOUR_US
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, NotFound

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

ALL = ReportQuery((Dimension.CAMPAIGN,), None, None, (), (), 100)
STEPS = ["folded", "touches", "orders", "entries", "written", "budgets", "positioned"]


async def _clicked(world: "World", campaign: str, token_id: str, *, promoter: str = "", price: int = 2_000_000) -> None:
    held = {one.campaign_id: one for one in (await world.terms.since(0))[1]}
    token = world.token(token_id, held[campaign], promoter=promoter, price=price)
    await world.record(world.beacon("impression", token), world.beacon("click", token))


async def test_prepaid_is_drawn_to_zero_then_receivable(world: "World") -> None:
    await world.ledger.deposit("acme", "dep-1", "CNY", 3_000_000, world.clock.now_us())
    await world.record(*(world.beacon("impression", world.token(f"t{n}")) for n in range(2)))
    await world.bill()
    assert [postings for _, _, postings in await world.entries()] == [
        {"platform:cash": 3_000_000, "advertiser:prepaid:acme": -3_000_000},
        {"advertiser:prepaid:acme": 2_000_000, "platform:revenue": -2_000_000},
        {"advertiser:prepaid:acme": 1_000_000, "advertiser:receivable:acme": 1_000_000, "platform:revenue": -2_000_000},
    ]
    assert await world.ledger.balances("acme") == [
        ("advertiser:prepaid:acme", "CNY", 0),
        ("advertiser:receivable:acme", "CNY", 1_000_000),
    ]
    assert await world.charged() == 4_000_000


async def test_a_deposit_counts_once_and_refuses_another_content(world: "World") -> None:
    for _ in range(2):
        booked = await world.ledger.deposit("acme", "dep-1", "CNY", 5, 1)
        assert booked.entry_id == 1
    with pytest.raises(AlreadyExists):
        await world.ledger.deposit("acme", "dep-1", "CNY", 6, 1)
    with pytest.raises(FailedPrecondition):
        await world.ledger.deposit("acme", "dep-2", "EUR", 6, 1)


async def test_a_click_waits_for_its_impression(world: "World") -> None:
    held = (await world.terms.since(0))[1][1]
    token = world.token("t1", held, price=500)
    await world.record(world.beacon("click", token))
    await world.bill()
    assert await world.charged() == 0
    assert ("pending_impression", 1) in (await world.reconcile()).unbilled
    world.clock.advance_us(7 * DAY_US)
    await world.record(world.beacon("impression", token))
    await world.bill()
    assert await world.charged() == 500_000
    assert "pending_impression" not in dict((await world.reconcile()).unbilled)


async def test_a_click_whose_impression_comes_after_seven_days_expires(world: "World") -> None:
    held = (await world.terms.since(0))[1][1]
    token = world.token("t1", held)
    await world.record(world.beacon("click", token))
    world.clock.advance_us(7 * DAY_US + 1)
    await world.record(world.beacon("impression", token))
    await world.bill()
    assert await world.charged() == 0


async def test_nothing_is_charged_beyond_a_budget_and_the_rest_is_free_and_reported(world: "World") -> None:
    await world.terms.put(TermsBatch([replace((await world.terms.since(0))[1][0], version=2, total_micros=5_000)]))
    await world.record(*(world.beacon("impression", world.token(f"t{n}")) for n in range(5)))
    await world.bill(2)
    assert await world.charged() == 4_000_000
    assert dict((await world.reconcile()).unbilled)["over_budget"] == 3
    (line,) = await world.reports.query(ALL)
    assert (line.figures.impressions, line.figures.spend_nanos, line.figures.overrun_nanos) == (5, 4_000_000, 6_000_000)


async def test_a_budget_lowered_below_what_is_charged_breaks_nothing(world: "World") -> None:
    await world.record(world.beacon("impression", world.token("t1")))
    await world.bill()
    await world.terms.put(TermsBatch([replace((await world.terms.since(0))[1][0], version=2, total_micros=1)]))
    await world.record(world.beacon("impression", world.token("t2")))
    await world.bill()
    assert await world.charged() == 2_000_000


async def test_the_database_itself_refuses_a_charge_beyond_the_budget(world: "World") -> None:
    row = {"campaign_id": "x", "day": "", "budget_nanos": 10, "charged_nanos": 11}
    with pytest.raises(sa.exc.IntegrityError):
        await world.database.write(lambda c: c.execute(schema.budgets.insert(), [row]))


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_leaves_nothing_and_the_next_run_everything(world: "World", step: str) -> None:
    await _clicked(world, "cpc-1", "t1")
    await _clicked(world, "cps-1", "t2")
    await world.record(world.order("e1"), world.refund("e2", 10_000_000))

    def crash(name: str) -> None:
        if name == step:
            raise RuntimeError(name)

    with pytest.raises(RuntimeError):
        await SqlBilling(world.database, world.clock, checkpoint=crash).bill(100)
    tables = (schema.touches, schema.orders, schema.entries, schema.budgets, schema.figures, schema.consumers)
    sizes = [sa.select(sa.func.count()).select_from(table) for table in tables]
    counts = await world.database.read(lambda c: [c.execute(size).scalar_one() for size in sizes])
    assert counts == [0] * 6
    await world.bill()
    assert await world.charged() == 2_000_000_000 + 9_000_000_000


@pytest.mark.parametrize("batch", [1, 100])
async def test_commission_is_estimated_payable_and_reversed(world: "World", batch: int) -> None:
    await _clicked(world, "cps-1", "t1", promoter="pia")
    await world.record(
        world.order("e1", click_id="t1", person=0),
        world.order("e2", update=True, status=event_pb2.ORDER_STATUS_COMPLETED),
        world.refund("e3", 40_000_000),
    )
    await world.bill(batch)
    entries = await world.entries()
    assert [(kind, cause) for kind, cause, _ in entries] == [
        ("commission_estimated", "order/e1"),
        ("commission_payable", "order_update/e2"),
        ("reversal", "refund/e3"),
    ]
    assert entries[1][2] == {
        "advertiser:estimated:acme": -10_000_000_000,
        "platform:estimated": 10_000_000_000,
        "advertiser:receivable:acme": 10_000_000_000,
        "platform:revenue": -7_500_000_000,
        "promoter:payable:pia": -2_500_000_000,
    }
    assert entries[2][2] == {
        "advertiser:receivable:acme": -4_000_000_000,
        "platform:revenue": 3_000_000_000,
        "promoter:payable:pia": 1_000_000_000,
    }
    assert await world.charged() == 6_000_000_000


async def test_what_comes_before_its_order_is_parked(world: "World") -> None:
    await _clicked(world, "cps-1", "t1")
    await world.record(
        world.refund("e3", 40_000_000), world.order("e2", update=True, status=event_pb2.ORDER_STATUS_COMPLETED)
    )
    await world.bill()
    assert dict((await world.reconcile()).unbilled)["parked"] == 2
    await world.record(world.order("e1"))
    await world.bill()
    assert await world.charged() == 6_000_000_000
    assert "parked" not in dict((await world.reconcile()).unbilled)


async def test_refunds_never_exceed_what_was_paid(world: "World") -> None:
    await _clicked(world, "cps-1", "t1")
    await world.record(world.order("e1"), world.refund("e2", 70_000_000), world.refund("e3", 70_000_000))
    await world.bill()
    assert await world.charged() == 0
    assert dict((await world.reconcile()).unbilled)["refund_above_paid"] == 1


async def test_a_late_click_takes_the_order_over(world: "World") -> None:
    await _clicked(world, "cps-1", "t1")
    world.clock.advance_us(HOUR_US)
    early = world.clock.now_us()
    world.clock.advance_us(HOUR_US)
    await world.record(world.order("e1"))
    await world.bill()
    other = replace((await world.terms.since(0))[1][2], campaign_id="cps-2", commission_rate_ppm=200_000)
    await world.terms.put(TermsBatch([other]))
    token = world.token("t2", other)
    await world.record(world.beacon("impression", token, early), world.beacon("click", token, early))
    await world.bill()
    assert await world.charged() == 20_000_000_000
    lines = {line.values[0]: line.figures for line in await world.reports.query(ALL)}
    assert (lines["cps-1"].orders, lines["cps-1"].spend_nanos) == (0, 0)
    assert (lines["cps-2"].orders, lines["cps-2"].spend_nanos) == (1, 20_000_000_000)


async def test_the_last_click_of_any_model_gets_the_order_in_the_report(world: "World") -> None:
    await _clicked(world, "cps-1", "t1")
    world.clock.advance_us(HOUR_US)
    await _clicked(world, "cpc-1", "t2", price=3)
    world.clock.advance_us(HOUR_US)
    await world.record(world.order("e1", paid=[60, 40]), world.refund("e2", 10))
    await world.bill()
    lines = {line.values[0]: line.figures for line in await world.reports.query(ALL)}
    assert (lines["cpc-1"].orders, lines["cpc-1"].order_value_micros, lines["cpc-1"].spend_nanos) == (1, 90, 3_000)
    assert (lines["cps-1"].orders, lines["cps-1"].spend_nanos) == (0, 9_000)
    explained = await explain_order("acme", "o1", world.orders)
    clicks = [
        (p.touch.ad.token_id, p.join, p.credit_ppm) for p in explained.parts if p.touch.event_type.word == "click"
    ]
    assert clicks == [("t1", "person", 0), ("t2", "person", 1_000_000)]
    assert explained.order.commission.campaign_id == "cps-1"
    with pytest.raises(NotFound):
        await explain_order("rival", "o1", world.orders)


async def test_report_figures_equal_the_ledger_and_pages_join_up(world: "World") -> None:
    for number in range(4):
        await _clicked(world, ("cpm-1", "cpc-1")[number % 2], f"t{number}")
        world.clock.advance_us(9 * HOUR_US)
    await world.bill(3)
    for dimensions in ((), (Dimension.DAY, Dimension.PRICING_MODEL), (Dimension.HOUR, Dimension.PLACEMENT)):
        whole = await world.reports.query(replace(ALL, dimensions=dimensions))
        assert sum(line.figures.spend_nanos for line in whole) == await world.charged()
        paged: list[ReportLine] = []
        after: tuple[str, ...] = ()
        while page := await world.reports.query(replace(ALL, dimensions=dimensions, limit=1, after=after)):
            paged += page
            after = (*page[-1].values, page[-1].currency)
        assert paged == whole


async def test_every_entry_is_reached_from_its_corrected_one(world: "World") -> None:
    await _clicked(world, "cps-1", "t1")
    await world.record(world.order("e1"))
    await world.bill()
    await world.record(world.refund("e2", 100_000_000))
    await world.bill()
    booked = await world.ledger.entries("acme", "cps-1", 0, 10)
    assert [(one.entry.kind, one.corrects_entry_id) for one in booked] == [("commission_estimated", 0), ("reversal", 1)]
    assert all(one.entry.decision_id == "d-t1" for one in booked)


async def test_terms_are_taken_once_and_conflicts_are_refused(world: "World") -> None:
    held = (await world.terms.since(0))[1][0]
    assert await world.terms.put(TermsBatch([held])) == 0
    with pytest.raises(AlreadyExists):
        await world.terms.put(TermsBatch([replace(held, bid_micros=1)]))
    await world.terms.put(TermsBatch([replace(held, version=3)]))
    with pytest.raises(FailedPrecondition) as stale:
        await world.terms.put(TermsBatch([replace(held, version=2)]))
    assert stale.value.reason == "STALE_TERMS"
    with pytest.raises(FailedPrecondition):
        await world.terms.put(TermsBatch([replace(held, campaign_id="new", currency="EUR")]))


@pytest.mark.parametrize("first", ["impression", "click"])
async def test_token_of_a_promoter_begins_with_its_click_also_where_it_was_shown(world: "World", first: str) -> None:
    sold = replace((await world.terms.since(0))[1][0], campaign_id="viewed", bills_viewable=True)
    await world.terms.put(TermsBatch([sold]))
    token = world.token("t1", sold, promoter="pia")
    robot = world.beacon("impression", token)
    robot.signals.known_bot = True
    begun = {"impression": robot, "click": world.beacon("click", token)}
    second = "click" if first == "impression" else "impression"
    await world.record(begun[first])
    await world.bill()
    await world.record(world.beacon("viewable", token))
    await world.bill()
    await world.record(begun[second])
    await world.bill()
    assert await world.charged() == 2_000_000
    assert dict((await world.reconcile()).unbilled)["ivt_known_bot"] == 1
