"""Explaining one order: which touches led to it, and who was given it."""

from dataclasses import dataclass

from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.touch import Touch, in_window, join_of, last_click
from bihuan_attribution.use_cases.ports import OrderFiles
from bihuan_shared.errors import NotFound

WHOLE_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A touch inside its window; the credits of an order sum to 1,000,000 or to 0."""

    touch: Touch
    join: str
    credit_ppm: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """One order, its touches, oldest first, and the event that opened it."""

    order: OrderState
    parts: tuple[Part, ...]
    body: bytes


async def explain_order(advertiser_id: str, order_id: str, orders: OrderFiles) -> Explanation:
    """Raises NotFound where the order is not known, or not to this advertiser."""
    found = await orders.find(advertiser_id, order_id)
    if found is None:
        raise NotFound("there is no such order")
    buyer = found.order.buyer
    met = next((one for one in found.touches if one.is_click(found.order.last_click_id)), None)
    winner = met or last_click(found.touches, buyer, found.terms)
    parts = [
        # A click that was met stays with its order, though its person may be another one by now.
        Part(touch, join_of(touch, buyer) or "person", WHOLE_PPM if touch is winner else 0)
        for touch in found.touches
        if touch is met or (join_of(touch, buyer) and in_window(touch, buyer.order_time_us, found.terms))
    ]
    return Explanation(found.order, tuple(sorted(parts, key=lambda part: part.touch.rank)), found.body)
