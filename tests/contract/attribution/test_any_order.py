"""Whatever the order of arrival, the repetitions and the batches: the books balance and equal the independent fold."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

MakeWorld = Callable[[Database], "tuple[World, CampaignTerms]"]
KINDS = ("impression", "click", "viewable", "landing")
DAYS = st.integers(0, 20)

beacons = st.tuples(st.sampled_from(KINDS), st.integers(0, 5), DAYS)
orders = st.tuples(st.just("order"), st.integers(0, 2), DAYS)
updates = st.tuples(st.sampled_from(("paid", "done", "cancelled")), st.integers(0, 2), DAYS)
refunds = st.tuples(st.just("refund"), st.integers(0, 2), st.integers(1, 900))
histories = st.lists(st.one_of(beacons, orders, updates, refunds), max_size=40)
STATUSES = {
    "paid": event_pb2.ORDER_STATUS_PAID,
    "done": event_pb2.ORDER_STATUS_COMPLETED,
    "cancelled": event_pb2.ORDER_STATUS_CANCELLED,
}


def build_event(world: "World", terms: "list[CampaignTerms]", step: tuple[str, int, int]) -> event_pb2.Event:
    kind, number, amount = step
    at_us = world.clock.now_us() - (20 - min(amount, 20)) * DAY_US
    if kind in KINDS:
        token = world.token(f"t{number}", terms[number % len(terms)], price=1 + number, person=1 + number % 2)
        return world.beacon(kind, token, at_us)
    order_id, event_id = f"o{number}", f"{kind}-{number}-{amount}"
    if kind == "order":
        paid = [100 + amount, 333]
        return world.order(
            f"order-{number}", order_id, paid=paid, person=1 + number % 2, click_id=f"t{number}", at_us=at_us
        )
    if kind == "refund":
        return world.refund(event_id, amount, order_id)
    return world.order(event_id, order_id, status=STATUSES[kind], update=True)


async def play(folder: str, make_world: MakeWorld, history: list[tuple[str, int, int]], batch: int, total: int) -> None:
    database = await Database.open(f"sqlite:///{Path(folder) / 'a.db'}", schema.metadata, schema="attribution")
    try:
        await prepare_heads(database)
        world, plain = make_world(database)
        terms = [
            replace(plain, total_micros=total),
            replace(plain, campaign_id="c", pricing_model="cpc", daily_micros=total),
            replace(plain, campaign_id="s", pricing_model="cps", commission_rate_ppm=123_457, promoter_share_ppm=1),
            replace(plain, campaign_id="v", bills_viewable=True),
            replace(plain, campaign_id="s2", pricing_model="cps", commission_rate_ppm=777, click_window_us=3 * DAY_US),
        ]
        await world.terms.put(TermsBatch(terms))
        await world.ledger.deposit("acme", "d1", "CNY", 2_000, 1)
        if history:
            await world.record(*(build_event(world, terms, step) for step in history))
        await world.bill(batch)
        (currency,) = (await world.reconcile()).currencies
        assert currency.debit_nanos == currency.credit_nanos
        lines = await world.reports.query(ReportQuery((), None, None, (), (), 10))
        assert sum(line.figures.spend_nanos for line in lines) == currency.ledger_charged_nanos
    finally:
        await world.recorder.close()
        await database.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, batch=st.sampled_from([1, 2, 7, 100]), total=st.sampled_from([0, 0, 1]), data=st.data())
def test_books_balance_and_equal_the_fold(
    make_world: MakeWorld, history: list[tuple[str, int, int]], batch: int, total: int, data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=10)) if history else []
    with TemporaryDirectory() as folder:
        asyncio.run(play(folder, make_world, history + repeated, batch, total))
