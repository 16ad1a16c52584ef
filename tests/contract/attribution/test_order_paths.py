"""Explaining and comparing over a real database: credits of every model, what was learned, what was believed."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import order_path_store
from bihuan_attribution.domain.channel_learning import REFRESH_US, Learned
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.order import Belief
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.order_path_store import SqlOrderPaths
from bihuan_attribution.use_cases import compare_models as comparing
from bihuan_attribution.use_cases.compare_models import Comparison, compare_models
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_attribution.use_cases.learn_channels import ChannelLearner
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US, HOUR_US
from bihuan_shared.errors import DeadlineExceeded, InvalidArgument
from bihuan_shared.rpc.deadline import deadline_scope

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

ALL = tuple(CreditModel)


async def touch(world: "World", token_id: str, campaign: int, hours_ago: int, *kinds: str, person: int = 7) -> None:
    terms = (await world.terms.since(0))[1][campaign]
    token = world.token(token_id, terms, person=person)
    at_us = world.clock.now_us() - hours_ago * HOUR_US
    await world.record(*(world.beacon(kind, token, at_us) for kind in kinds))


async def journey(world: "World") -> None:
    """An impression of one campaign, then clicks of two others, then an order of 100 that is paid back in part."""
    await touch(world, "a", 0, 3, "impression", "viewable")
    await touch(world, "b", 1, 2, "impression", "click")
    await touch(world, "c", 2, 1, "impression", "click")
    await world.record(world.order("e1"))
    await world.bill()


def compared(found: Comparison, model: CreditModel) -> dict[str, tuple[int, int]]:
    return {
        one.campaign_id: (one.credited_orders_ppm, one.credited_value_micros)
        for one in found.lines
        if one.model is model
    }


async def compare(world: "World", models: tuple[CreditModel, ...] = ALL, days: int = 30) -> Comparison:
    paths = SqlOrderPaths(world.database)
    now_us = world.clock.now_us()
    span = (now_us - days * DAY_US, now_us + 1)
    return await compare_models("acme", span, models, paths, ChannelLearner(paths, world.clock))


async def test_an_order_is_explained_by_every_model(world: "World") -> None:
    await journey(world)
    learner = ChannelLearner(SqlOrderPaths(world.database), world.clock)
    explained = await explain_order("acme", "o1", world.orders, learner)
    shown = [(one.touch.ad.token_id, one.touch.event_type.word) for one in explained.parts]
    assert shown == [
        ("a", "impression"), ("a", "viewable"), ("b", "impression"), ("b", "click"), ("c", "impression"), ("c", "click")
    ]  # fmt: skip
    given = {
        model: {one.touch.ad.token_id: one.credits[model] for one in explained.parts if one.credits[model]}
        for model in CreditModel
    }
    assert given[CreditModel.LAST_CLICK] == given[CreditModel.LAST_TOUCH] == {"c": 1_000_000}
    assert given[CreditModel.FIRST_TOUCH] == {"a": 1_000_000}
    assert given[CreditModel.LINEAR] == {"a": 333_333, "b": 333_333, "c": 333_334}
    assert given[CreditModel.POSITION_BASED] == {"a": 400_000, "b": 200_000, "c": 400_000}
    assert all(sum(held.values()) == 1_000_000 for held in given.values())
    assert {one.relation for one in explained.parts} == {"cross_shop"}
    assert explained.learned is not None
    assert explained.learned.conversion_count == 1


async def test_an_order_of_one_campaign_waits_for_no_learning(world: "World") -> None:
    await touch(world, "b", 1, 2, "impression", "click")
    await world.record(world.order("e1"))
    await world.bill()
    learner = ChannelLearner(SqlOrderPaths(world.database), world.clock)
    explained = await explain_order("acme", "o1", world.orders, learner)
    assert explained.learned is None
    assert [one.credits[CreditModel.MARKOV] for one in explained.parts] == [0, 1_000_000]


async def test_relations_promoters_stages_and_history_are_told(world: "World") -> None:
    cps = replace((await world.terms.since(0))[1][2], version=2, item_ids=("i0",))
    await world.terms.put(TermsBatch([cps]))
    token = world.token("p", cps, promoter="pro-1")
    await world.record(world.beacon("click", token), world.order("e1"))
    await world.bill()
    first = await explain_order("acme", "o1", world.orders)
    assert [(one.relation, one.touch.ad.promoter_id) for one in first.parts] == [("direct", "pro-1")]
    assert first.stage == "estimated"
    world.clock.advance_us(DAY_US)
    await world.record(world.order("e2", status=event_pb2.ORDER_STATUS_COMPLETED, update=True))
    await world.bill()
    await world.record(world.refund("e3", 40_000_000))
    await world.bill()
    last = await explain_order("acme", "o1", world.orders)
    assert last.stage == "payable"
    now_us = world.clock.now_us()
    assert [(one.book_time_us, one.belief) for one in last.history] == [
        (now_us - DAY_US, Belief("cps-1", 100_000_000, "cps-1", 10_000_000_000)),
        (now_us, Belief("cps-1", 60_000_000, "cps-1", 6_000_000_000)),
    ]
    await world.record(world.refund("e4", 60_000_000))
    await world.bill()
    assert (await explain_order("acme", "o1", world.orders)).stage == "none"


async def test_models_are_compared_over_paid_orders(world: "World") -> None:
    await journey(world)
    await touch(world, "d", 1, 1, "impression", "click", person=8)
    await world.record(
        world.order("e2", "o2", person=8, paid=[7]),
        world.order("e3", "o3", person=9),
        world.order("e4", "o4", person=8, status=event_pb2.ORDER_STATUS_PLACED),
        world.order("e5", "o5", person=8, status=event_pb2.ORDER_STATUS_CANCELLED),
        world.order("e6", "o6", person=8, at_us=world.clock.now_us() - 31 * DAY_US + HOUR_US),
        world.refund("r1", 1),
    )
    await world.bill()
    found = await compare(world)
    assert (found.order_count, found.unattributed_count) == (2, 1)
    assert compared(found, CreditModel.LAST_CLICK) == {"cps-1": (1_000_000, 99_999_999), "cpc-1": (1_000_000, 7)}
    assert compared(found, CreditModel.LINEAR) == {
        "cpm-1": (333_333, 33_333_300), "cpc-1": (1_333_333, 33_333_307), "cps-1": (333_334, 33_333_399)
    }  # fmt: skip
    for model in CreditModel:
        assert sum(value for _, value in compared(found, model).values()) == 100_000_006
    assert found.learned is not None


async def test_last_click_says_what_the_report_says(world: "World") -> None:
    await journey(world)
    await touch(world, "d", 1, 1, "impression", "click", person=8)
    await world.record(world.order("e2", "o2", person=8), world.refund("r1", 1, "o2"))
    await world.bill()
    found = compared(await compare(world, (CreditModel.LAST_CLICK,)), CreditModel.LAST_CLICK)
    lines = await world.reports.query(ReportQuery((Dimension.CAMPAIGN,), None, None, (), (), 10))
    assert found == {
        line.values[0]: (line.figures.orders * 1_000_000, line.figures.order_value_micros)
        for line in lines
        if line.figures.orders
    }


async def test_pages_make_no_difference(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await journey(world)
    for number in range(5):
        await touch(world, f"x{number}", number % 3, 1, "impression", "click", person=20 + number)
        await world.record(world.order(f"x{number}", f"x{number}", person=20 + number, paid=[number]))
    await world.bill()
    whole = await compare(world, (CreditModel.LINEAR,))
    monkeypatch.setattr(order_path_store, "ORDERS_A_PAGE", 1)
    monkeypatch.setattr(order_path_store, "_BUYERS_AT_ONCE", 1)
    assert await compare(world, (CreditModel.LINEAR,)) == whole
    learned = await ChannelLearner(SqlOrderPaths(world.database), world.clock).of("acme")
    monkeypatch.setattr(order_path_store, "TOUCHES_A_PAGE", 2)
    world.clock.advance_us(REFRESH_US)
    learner = ChannelLearner(SqlOrderPaths(world.database), world.clock)
    await learner.of("acme")
    (running,) = learner._running.values()  # what the test waits for
    assert (await running).weights == learned.weights


async def test_comparing_is_bounded_in_span_orders_and_time(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await journey(world)
    await world.record(world.order("e2", "o2"))
    await world.bill()
    with pytest.raises(InvalidArgument) as caught:
        await compare(world, (CreditModel.LINEAR,), days=93)
    assert caught.value.violations[0].field == "interval"
    with deadline_scope(0), pytest.raises(DeadlineExceeded):
        await compare(world, (CreditModel.LINEAR,))
    monkeypatch.setattr(order_path_store, "ORDERS_A_PAGE", 1)
    monkeypatch.setattr(comparing, "MAX_ORDERS", 1)
    with pytest.raises(InvalidArgument):
        await compare(world, (CreditModel.LINEAR,))


async def test_what_was_learned_can_be_read_back_as_of_a_time(world: "World") -> None:
    paths = SqlOrderPaths(world.database)
    early = Learned("acme", 1_000, 1, 2, 1, {CreditModel.MARKOV: {"a": 3}, CreditModel.SHAPLEY: {"a": 4}})
    late = replace(early, learned_time_us=500 * DAY_US)
    nothing = replace(early, advertiser_id="other", weights={})
    for one in (early, early, nothing):
        await paths.keep(one)
    assert await paths.learned("acme", 999) is None
    assert await paths.learned("acme", 1_000) == early
    assert await paths.learned("other", 2_000) == nothing
    await paths.keep(late)
    assert await paths.learned("acme", 2_000) is None
    assert await paths.learned("acme", 501 * DAY_US) == late
