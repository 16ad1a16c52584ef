"""Touches, the windows they count in, and which of them an order goes to."""

from collections.abc import Iterable
from dataclasses import dataclass

from bihuan_attribution.domain.event import AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.terms import TermsBook


@dataclass(frozen=True, slots=True)
class Touch:
    """
    A contact of somebody with an advertisement. `touch_time_us` is for windows, `bill_time_us` for books.

    `invalid` says why it is no contact of a person at all, `excess` why a click is free; both are empty for most.
    """

    position: int
    event_type: EventType
    touch_time_us: int
    bill_time_us: int
    person_id: int
    ad: AdFacts
    invalid: str = ""
    excess: str = ""

    def is_click(self, token_id: str) -> bool:
        """Whether it is the click of a token."""
        return self.event_type is EventType.CLICK and self.ad.token_id == token_id

    @property
    def rank(self) -> tuple[int, str]:
        """Later touches are higher; at the same instant the event id decides."""
        return (self.touch_time_us, self.ad.token_id)


def touch_of(event: LoggedEvent, ad: AdFacts, *, invalid: str = "", excess: str = "") -> Touch:
    """The touch that an event of an advertisement is."""
    return Touch(
        event.position,
        event.event_type,
        event.event_time_us,
        event.receive_time_us,
        event.person_id,
        ad,
        invalid,
        excess,
    )


@dataclass(frozen=True, slots=True)
class Buyer:
    """How an order can be joined to touches, and when it was placed."""

    advertiser_id: str
    order_time_us: int
    person_id: int
    click_id: str


def join_of(touch: Touch, buyer: Buyer) -> str:
    """How a touch is joined to an order: `click_id`, `person`, or empty where it is not."""
    if touch.ad.advertiser_id != buyer.advertiser_id:
        return ""
    if buyer.click_id and touch.ad.token_id == buyer.click_id:
        return "click_id"
    if buyer.person_id and touch.person_id == buyer.person_id:
        return "person"
    return ""


def in_window(touch: Touch, at_us: int, terms: TermsBook) -> bool:
    """Whether an instant is in `[touch, touch + W)`, by the windows in force when the touch happened."""
    held = terms.at(touch.ad.campaign_id, touch.touch_time_us)
    if held is None:
        return False
    window_us = held.click_window_us if touch.event_type is EventType.CLICK else held.view_window_us
    return touch.touch_time_us <= at_us < touch.touch_time_us + window_us


def last_click(touches: Iterable[Touch], buyer: Buyer, terms: TermsBook, *, model: str = "") -> Touch | None:
    """
    Give an order to the latest click inside its window, of one pricing model or of any.

    Clicks at the same instant go to the higher event id, so a replay always credits the same one. None means that no
    click qualified, which is not an error.
    """
    clicks = (
        touch
        for touch in touches
        if touch.event_type is EventType.CLICK
        and (not model or touch.ad.pricing_model == model)
        and join_of(touch, buyer)
        and in_window(touch, buyer.order_time_us, terms)
    )
    return max(clicks, key=lambda touch: touch.rank, default=None)
