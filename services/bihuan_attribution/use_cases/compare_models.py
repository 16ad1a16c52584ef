"""Models of attribution side by side, over the orders of a span of time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bihuan_attribution.domain.channel_learning import Learned
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.event import DAY_US
from bihuan_attribution.domain.model_tally import ModelLine, ModelTally
from bihuan_attribution.domain.order_path import OrderPath
from bihuan_attribution.use_cases.learn_channels import ChannelWeights
from bihuan_attribution.use_cases.order_paths import Mark, OrderPaths
from bihuan_shared.errors import DeadlineExceeded, InvalidArgument
from bihuan_shared.rpc.deadline import MARGIN_S, remaining_s

MAX_SPAN_US: Final = 92 * DAY_US
MAX_ORDERS: Final = 500_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """What models give campaigns; `learned` is None where no model that learns was asked for."""

    lines: Sequence[ModelLine]
    order_count: int
    unattributed_count: int
    learned: Learned | None


async def compare_models(
    advertiser_id: str,
    span: tuple[int, int],
    models: Sequence[CreditModel],
    paths: OrderPaths,
    weights: ChannelWeights,
) -> Comparison:
    """
    Share the paid orders that were placed in `[start, end)`; those that were cancelled are none.

    Raises InvalidArgument for more than 92 days or 500,000 orders, and DeadlineExceeded where the caller's time ends.
    """
    start_us, end_us = span
    if not 0 <= end_us - start_us <= MAX_SPAN_US:
        raise InvalidArgument.of("interval", "must be 0 to 92 days")
    learned = await weights.of(advertiser_id) if any(one.learns for one in models) else None
    tally = ModelTally(models, learned.weights if learned is not None else {})
    mark: Mark | None = None
    while True:
        left_s = remaining_s()
        if left_s is not None and left_s <= MARGIN_S:
            raise DeadlineExceeded("the orders of this span take longer; narrow it")
        page = await paths.page(advertiser_id, start_us, end_us, mark)
        await asyncio.to_thread(_add, tally, page.paths)
        mark = page.mark
        if mark is None:
            return Comparison(tally.lines(), tally.order_count, tally.unattributed_count, learned)
        if tally.order_count + tally.unattributed_count >= MAX_ORDERS:
            raise InvalidArgument.of("interval", f"has more than {MAX_ORDERS:,} orders; narrow it")


def _add(tally: ModelTally, paths: Sequence[OrderPath]) -> None:
    for path in paths:
        tally.add(path)
