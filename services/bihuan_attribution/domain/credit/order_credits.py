"""Shares one order among its touches."""

from collections.abc import Mapping, Sequence
from typing import Final

from bihuan_attribution.domain.credit.apportion import apportion
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.credit.rule_shares import RULES, Shares, by_weight, time_decay
from bihuan_attribution.domain.event import DAY_US
from bihuan_shared.errors import InvalidArgument

WHOLE_PPM: Final = 1_000_000
HALF_LIFE_US: Final = 7 * DAY_US


def credits_of(
    model: CreditModel,
    touches: Sequence[PathTouch],
    order_time_us: int,
    weights: Mapping[str, int] | None = None,
    *,
    half_life_us: int = HALF_LIFE_US,
) -> tuple[int, ...]:
    """
    Credit the touches of one order in millionths, one figure a touch, in the order given.

    The sum is exactly 1,000,000 where a touch qualifies for the model, else 0: touches after the order and events that
    are no contact get nothing, and `LAST_CLICK` falls back to nobody. The caller leaves out what is outside its window
    (`domain.touch.in_window`) and may keep one touch an advertisement (`path_touch.strongest`). Ties break by time,
    event id and event type, never by the order of the input, as long as no touch is given twice.

    `weights` are those of the channels (`markov`, `shapley`), in any unit, and are read by the models that learn; a
    channel without one gets nothing unless no channel of the path has one, when the order is shared equally.
    `half_life_us` is for `TIME_DECAY`. Wrong figures raise `InvalidArgument`, naming the argument.
    """
    if half_life_us <= 0:
        raise InvalidArgument.of("half_life_us", "must be positive")
    places = sorted(
        (place for place, touch in enumerate(touches) if touch.qualifies(order_time_us)),
        key=lambda place: touches[place].rank,
    )
    given = [0] * len(touches)
    if places:
        shares = _shares(model, [touches[place] for place in places], weights or {}, half_life_us)
        if min(shares) < 0:
            raise InvalidArgument.of("weights", "must not be negative")
        for place, credit in zip(places, apportion(WHOLE_PPM, shares), strict=True):
            given[place] = credit
    return tuple(given)


def _shares(model: CreditModel, path: Sequence[PathTouch], weights: Mapping[str, int], half_life_us: int) -> Shares:
    if model is CreditModel.TIME_DECAY:
        return time_decay(path, half_life_us)
    if model.learns:
        return by_weight(path, weights)
    return RULES[model](path)
