"""
What follows an impression in Complete Journey: the household's real redemption and its real basket, or nothing.

Real: whether and on which day the send was redeemed, and the couponed basket of that day. Ours, and synthetic: a
click ten minutes before the basket (or at noon, without one), the landing, the completion after a week, and refunds of
a seeded sample.
"""

import hashlib
from dataclasses import dataclass

from bihuan_cli.datasets.journey import BasketLine, Redemption
from bihuan_cli.replay import identifiers
from bihuan_cli.replay.world import CURRENCY, DAY_US
from bihuan_shared.clock import format_rfc3339

CLICK_BEFORE_BASKET_US = 600_000_000
NOON_US = DAY_US // 2
LANDING_AFTER_US = 2_000_000
COMPLETED_AFTER_US = 7 * DAY_US
REFUNDED_AFTER_US = 3 * DAY_US
REFUND_ONE_IN = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """An impression that was served: for whom, of what, when, and its tracking URLs."""

    household_id: int
    campaign_id: int
    time_us: int
    click_url: str
    landing_url: str


@dataclass(frozen=True, slots=True)
class Step:
    """One call that an outcome consists of: a tracking URL to follow, or an order body to post."""

    time_us: int
    url: str | None = None
    order: dict[str, object] | None = None
    kind: str = ""


def click_time_us(redemption: Redemption) -> int:
    """When the household is taken to have clicked."""
    if redemption.basket_time_us is None:
        return redemption.date_us + NOON_US
    return redemption.basket_time_us - CLICK_BEFORE_BASKET_US


def click_steps(shown: Shown, redemption: Redemption) -> list[Step]:
    """The click and its landing."""
    clicked_us = click_time_us(redemption)
    return [
        Step(clicked_us, url=shown.click_url, kind="click"),
        Step(clicked_us + LANDING_AFTER_US, url=shown.landing_url, kind="landing"),
    ]


def order_steps(
    redemption: Redemption, advertiser_id: str, lines: tuple[BasketLine, ...], *, refunds: bool
) -> list[Step]:
    """The basket as a paid order, its completion, and for the sample a refund of its first line."""
    assert redemption.basket_id is not None
    assert redemption.basket_time_us is not None
    at_us = redemption.basket_time_us
    common: dict[str, object] = {
        "order_id": str(redemption.basket_id),
        "advertiser_id": advertiser_id,
        "currency": CURRENCY,
        # The order comes under the login although the advertisement may have been shown to the cookie: the join is on
        # the person.
        "identifiers": [identifiers.login(redemption.household_id)],
        "consent": identifiers.CONSENT,
    }
    placed = common | {
        "type": "order",
        "order_time": format_rfc3339(at_us),
        "channel": "store",
        "status": "paid",
        "items": [_item(line) for line in lines],
    }
    steps = [Step(at_us, order=placed, kind="order")]
    first = next((line for line in lines if line.paid_micros > 0), None)
    if refunds and first is not None and _in_sample(redemption.basket_id):
        steps.append(_refund(common, first, at_us + REFUNDED_AFTER_US))
    done_us = at_us + COMPLETED_AFTER_US
    completed = common | {"type": "update", "status": "completed", "order_time": format_rfc3339(done_us)}
    steps.append(Step(done_us, order=completed, kind="completion"))
    return steps


def _item(line: BasketLine) -> dict[str, object]:
    return {
        "item_id": str(line.product_id),
        "shop_id": "complete-journey",
        "quantity": min(line.quantity, 1_000_000),
        "paid_micros": line.paid_micros,
        "tags": [f"category:{line.product_type}"],
    }


def _refund(common: dict[str, object], line: BasketLine, time_us: int) -> Step:
    returned = {"item_id": str(line.product_id), "quantity": 1, "refund_micros": line.paid_micros}
    body = common | {"type": "refund", "refund_items": [returned], "order_time": format_rfc3339(time_us)}
    return Step(time_us, order=body, kind="refund")


def _in_sample(basket_id: int) -> bool:
    return hashlib.sha256(f"refund/{basket_id}".encode()).digest()[0] % REFUND_ONE_IN == 0
