"""Fitting the models of `lifetime` to many persons at once, by maximum likelihood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from bihuan_profile.domain.lifetime import PurchaseModel, SpendModel

Floats = NDArray[np.float64]

MIN_PERSONS: Final = 100
"""Fewer persons give no model."""

_PURCHASE_BOUNDS: Final = ((1e-3, 1e2), (1e-3, 1e6), (1e-3, 1e3), (1e-3, 1e4))
_SPEND_BOUNDS: Final = ((1e-2, 1e3), (1 + 1e-2, 1e3), (1e-3, 1e3))
# Two shapes of population: customers who mostly leave, and customers who mostly stay.
_PURCHASE_STARTS: Final = ((1.0, 1.0, 1.0, 2.0), (1.0, 1.0, 0.1, 5.0))
_SPEND_STARTS: Final = ((2.0, 3.0, 2.0),)


@dataclass(frozen=True, slots=True)
class Purchases:
    """Of each person the repeated orders, and days from the first order to the last and to now; equally long."""

    repeats: Floats
    last: Floats
    age: Floats


@dataclass(frozen=True, slots=True)
class Spending:
    """Of each person the orders, at least one, and their mean value, above 0; equally long."""

    orders: Floats
    mean: Floats


def fit_purchases(persons: Purchases) -> PurchaseModel | None:
    """The BG/NBD that makes the orders likeliest; None where there are too few persons."""
    if len(persons.age) < MIN_PERSONS:
        return None
    # In units of the mean age, so that one set of starts and bounds suits days and minutes alike.
    unit = max(float(persons.age.mean()), 1e-6)
    scaled = Purchases(persons.repeats, persons.last / unit, persons.age / unit)
    r, alpha, a, b = _likeliest(lambda at: purchase_likelihood(at, scaled), _PURCHASE_STARTS, _PURCHASE_BOUNDS)
    return PurchaseModel(r, alpha * unit, a, b)


def fit_spending(persons: Spending) -> SpendModel | None:
    """The gamma-gamma that makes the mean order values likeliest; None where there are too few persons."""
    if len(persons.mean) < MIN_PERSONS:
        return None
    unit = float(persons.mean.mean())
    scaled = Spending(persons.orders, persons.mean / unit)
    p, q, gamma = _likeliest(lambda at: spend_likelihood(at, scaled), _SPEND_STARTS, _SPEND_BOUNDS)
    return SpendModel(p, q, gamma * unit)


def purchase_likelihood(at: Floats, persons: Purchases) -> tuple[float, Floats]:
    """Mean log-likelihood of BG/NBD at (r, alpha, a, b), and its gradient in them (equation 6 of the paper)."""
    r, alpha, a, b = at
    x, last, age = persons.repeats, persons.last, persons.age
    stayed = -(r + x) * np.log(alpha + age)
    repeated = x > 0
    before = b + np.maximum(x, 1) - 1
    left = np.where(repeated, np.log(a) - np.log(before) - (r + x) * np.log(alpha + last), -np.inf)
    either = np.logaddexp(stayed, left)
    share = np.exp(left - either)
    value = (
        gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        + either
    )  # fmt: skip
    both = digamma(a + b) - digamma(a + b + x)
    gradient = (
        digamma(r + x) - digamma(r) + np.log(alpha) - (1 - share) * np.log(alpha + age) - share * np.log(alpha + last),
        r / alpha - (r + x) * ((1 - share) / (alpha + age) + share / (alpha + last)),
        both + share / a,
        both + digamma(b + x) - digamma(b) - share / before,
    )
    return float(value.mean()), np.array([part.mean() for part in gradient])


def spend_likelihood(at: Floats, persons: Spending) -> tuple[float, Floats]:
    """Mean log-likelihood of gamma-gamma at (p, q, gamma), and its gradient in them."""
    p, q, gamma = at
    n, mean = persons.orders, persons.mean
    shape, total = p * n, gamma + n * mean
    value = (
        gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(gamma)
        + (shape - 1) * np.log(mean) + shape * np.log(n) - (shape + q) * np.log(total)
    )  # fmt: skip
    gradient = (
        n * (digamma(shape + q) - digamma(shape) + np.log(n * mean) - np.log(total)),
        digamma(shape + q) - digamma(q) + np.log(gamma) - np.log(total),
        q / gamma - (shape + q) / total,
    )
    return float(value.mean()), np.array([part.mean() for part in gradient])


def _likeliest(
    likelihood: Callable[[Floats], tuple[float, Floats]],
    starts: Sequence[Sequence[float]],
    bounds: Sequence[tuple[float, float]],
) -> tuple[float, ...]:
    """The best of the maxima that are reached from some starts; parameters are positive, so their logarithms move."""

    def cost(logs: Floats) -> tuple[float, Floats]:
        at = np.exp(logs)
        value, gradient = likelihood(at)
        return -value, -gradient * at

    found = [
        minimize(cost, np.log(start), jac=True, method="L-BFGS-B", bounds=np.log(bounds), options={"ftol": 1e-11})
        for start in starts
    ]
    best = min(found, key=lambda one: float(one.fun))
    return tuple(float(value) for value in np.exp(best.x))
