"""
What a person is expected to spend, and whether the person still is a customer.

How often: BG/NBD (Fader, Hardie, Lee, "Counting Your Customers the Easy Way", Marketing Science 24, 2005): while alive,
orders come at a rate that is gamma distributed over persons (r, alpha), and after each a person leaves with a
probability that is beta distributed (a, b). How much: gamma-gamma (Fader, Hardie, "The Gamma-Gamma Model of Monetary
Value", 2013). Both know a person by totals only, as if a rate never changed. `recent_spend` knows that rates do: its
evidence fades with a half-life, as in dynamic models with discount factors (West, Harrison, "Bayesian Forecasting and
Dynamic Models", 1997). What is expected is a mean of both.

Times are days. Money keeps the unit that it comes in.
"""

from dataclasses import dataclass
from math import exp, expm1, log, log1p
from typing import Final

import numpy as np
from scipy.special import hyp2f1

from bihuan_profile.domain.beta_mean import beta_nodes
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US
from bihuan_shared.clock import DAY_US

HORIZON_DAYS: Final = 90.0
RECENT_SHARE: Final = 0.5
"""
Weight of recent spend beside the two models. `make eval-profile` chooses it inside the training period of Complete
Journey, where customers stay for years; of a shop whose customers mostly come once, 0 is better.
"""
_FADING_DAYS: Final = LONG_HALF_LIFE_US / DAY_US / log(2)
_NEAR_ONE: Final = 1e-6
_LONGEST: Final = 50.0


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """Parameters of BG/NBD; `alpha` in days."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class SpendModel:
    """Parameters of gamma-gamma; `gamma` in money, `q` above 1."""

    p: float
    q: float
    gamma: float


@dataclass(frozen=True, slots=True)
class History:
    """
    What is known about the orders of one person.

    `repeats` are the orders after the first, `last` the days from the first to the last and `age` those from the first
    to now; 0 ≤ last ≤ age. `mean` is the average order value, `recent` what was paid with a half-life of 30 days.
    """

    repeats: int
    last: float
    age: float
    mean: float = 0.0
    recent: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next 90 days are expected to bring in money, and the probability that the person is still a customer."""

    spend: float
    alive: float


def alive_probability(model: PurchaseModel, history: History) -> float:
    """The probability that a person has not left for good; 1 without a repeated order, as the model has it."""
    return 1 / (1 + _left_odds(model, history))


def expected_orders(model: PurchaseModel, history: History, days: float) -> float:
    """
    Orders expected in the next `days` (Fader, Hardie, Lee 2005, equation 10).

    With a long history the hypergeometric function gives it, in the form 2F1(c - a', b'; c; u / (1 + u)) of Pfaff's
    transformation, in which the large numbers of frequent persons cancel. With a shorter one than `days` that breaks
    down, and it is a mean over the probability of leaving after an order. Both agree with brute force to 1e-9 where
    the time known is a tenth of `days` or more, else to 1 %. A time of less than a fiftieth of `days` counts as one.
    """
    u = min(days / (model.alpha + history.age), _LONGEST)
    present = _orders_in_short if u > 1 else _orders_in_long
    orders = present(model, history.repeats, u) / (1 + _left_odds(model, history))
    # Nobody can be expected to order more often than if nobody left.
    return min(max(orders, 0.0), (model.r + history.repeats) * u)


def _orders_in_long(model: PurchaseModel, repeats: int, u: float) -> float:
    """Of one who is still a customer; `u` is the time ahead in units of alpha and the time known, at most 1."""
    a = model.a if abs(model.a - 1) > _NEAR_ONE else 1 + _NEAR_ONE
    c = a + model.b + repeats - 1
    c = c if abs(c) > _NEAR_ONE else _NEAR_ONE
    term = float(hyp2f1(a + model.b - 1 - model.r, a - 1, c, u / (1 + u)))
    return c / (a - 1) * (1 - exp((1 - a) * log1p(u)) * term)


def _orders_in_short(model: PurchaseModel, repeats: int, u: float) -> float:
    """The same for any `u`: given a probability p of leaving, (1 - (1 + p u)^-(r + x)) / p."""
    points, weights = beta_nodes(model.a, model.b + repeats)
    return float(weights @ (-np.expm1(-(model.r + repeats) * np.log1p(points * u)) / points))


def expected_order_value(model: SpendModel, history: History) -> float:
    """Value of a further order: the person's mean, drawn to that of everyone the more the fewer orders there are."""
    count = history.repeats + 1
    return model.p * (model.gamma + count * history.mean) / (model.p * count + model.q - 1)


def recent_spend(model: PurchaseModel, history: History, order_value: float, days: float) -> float:
    """
    Spend in the next `days` if the person goes on as of late.

    The rate of spending is (r · order value + faded spend) / (alpha + faded time), where the first order does not
    count, as it does not in BG/NBD.
    """
    fading = -expm1(-history.age / _FADING_DAYS)
    repeated = max(0.0, history.recent - history.mean * (1 - fading))
    return days * (model.r * order_value + repeated) / (model.alpha + _FADING_DAYS * fading)


def outlook(
    purchases: PurchaseModel, spending: SpendModel, history: History, recent_share: float = RECENT_SHARE
) -> Outlook:
    """What is expected of a person. Where nothing is left of what was paid, neither is anything expected."""
    alive = alive_probability(purchases, history)
    if history.mean <= 0:
        return Outlook(0.0, alive)
    value = expected_order_value(spending, history)
    steady = expected_orders(purchases, history, HORIZON_DAYS) * value
    lately = recent_spend(purchases, history, value, HORIZON_DAYS) * alive
    return Outlook((1 - recent_share) * steady + recent_share * lately, alive)


def _left_odds(model: PurchaseModel, history: History) -> float:
    """How much likelier it is that a person left after the last order than that the person just did not order since."""
    if history.repeats <= 0:
        return 0.0
    waited = log1p((history.age - history.last) / (model.alpha + history.last))
    odds = log(model.a) - log(model.b + history.repeats - 1) + (model.r + history.repeats) * waited
    return exp(min(odds, 700.0))
