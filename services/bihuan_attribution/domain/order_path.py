"""The touches that an order can be shared among, and what each model gives to each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.order_credits import WHOLE_PPM, credits_of
from bihuan_attribution.domain.credit.path_touch import PathTouch, strongest
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.terms import TermsBook
from bihuan_attribution.domain.touch import Touch, in_window, join_of

PATH_EVENTS: Final = (EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK)
"""What can be a touch of an order."""
Weights = Mapping[CreditModel, Mapping[str, int]]
"""What was learned of channels, by model that learns; a channel is a campaign."""
NO_WEIGHTS: Final[Weights] = {}


@dataclass(frozen=True, slots=True)
class OrderPath:
    """
    An order and its touches, oldest first: those inside their window, and `met`, the click that reports credit it to.

    What an order has met stays with it, though its person may be another one by now.
    """

    order: OrderState
    touches: tuple[Touch, ...]
    met: Touch | None

    @property
    def contacts(self) -> tuple[PathTouch, ...]:
        """One touch an advertisement, its strongest, as the models share among them."""
        return strongest(_path_touch(one) for one in self.touches)

    @property
    def channels(self) -> tuple[str, ...]:
        """Which campaigns the buyer met, one an advertisement."""
        return tuple(one.channel for one in self.contacts)


def order_path(order: OrderState, touches: Iterable[Touch], terms: TermsBook) -> OrderPath:
    """The path of an order; `touches` are all that may join it, in any sequence, each once."""
    held = list(touches)
    met = next((one for one in held if order.last_click_id and one.is_click(order.last_click_id)), None)
    buyer = order.buyer
    kept = [one for one in held if one is met or (join_of(one, buyer) and in_window(one, buyer.order_time_us, terms))]
    return OrderPath(order, tuple(sorted(kept, key=lambda one: (*one.rank, one.event_type))), met)


def touch_credits(path: OrderPath, model: CreditModel, weights: Weights = NO_WEIGHTS) -> tuple[int, ...]:
    """
    Credit the touches of a path in millionths, in their order; the sum is 1,000,000, or 0 where nothing qualifies.

    Last click is the click that was met, which is what reports and their restatements say.
    """
    if model is CreditModel.LAST_CLICK:
        return tuple(WHOLE_PPM if one is path.met else 0 for one in path.touches)
    contacts = path.contacts
    given = credits_of(model, contacts, path.order.order_time_us, weights.get(model))
    by_event = {(one.event_id, one.event_type): ppm for one, ppm in zip(contacts, given, strict=True)}
    return tuple(by_event.get((one.ad.token_id, one.event_type), 0) for one in path.touches)


def campaign_credits(
    path: OrderPath, models: Sequence[CreditModel], weights: Weights = NO_WEIGHTS
) -> dict[tuple[CreditModel, str], int]:
    """Credit campaigns in millionths; what gets nothing is left out."""
    campaigns = {one.ad.campaign_id for one in path.touches}
    if len(campaigns) == 1:
        # All models agree on one campaign, and most orders have but one.
        (only,) = campaigns
        qualifies = bool(path.contacts)
        return {
            (one, only): WHOLE_PPM
            for one in models
            if (path.met is not None if one is CreditModel.LAST_CLICK else qualifies)
        }
    found: dict[tuple[CreditModel, str], int] = {}
    for model in models:
        for touch, ppm in zip(path.touches, touch_credits(path, model, weights), strict=True):
            if ppm:
                key = (model, touch.ad.campaign_id)
                found[key] = found.get(key, 0) + ppm
    return found


def _path_touch(touch: Touch) -> PathTouch:
    campaign_id = touch.ad.campaign_id
    return PathTouch(touch.touch_time_us, touch.ad.token_id, touch.event_type, campaign_id, campaign_id)
