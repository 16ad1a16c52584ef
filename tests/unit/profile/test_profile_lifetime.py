"""BG/NBD, gamma-gamma and what they expect of a person."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln

from bihuan_profile.domain.beta_mean import beta_nodes
from bihuan_profile.domain.lifetime import (
    History,
    PurchaseModel,
    SpendModel,
    alive_probability,
    expected_order_value,
    expected_orders,
    outlook,
    recent_spend,
)
from bihuan_profile.domain.lifetime_fit import (
    MIN_PERSONS,
    Purchases,
    Spending,
    fit_purchases,
    fit_spending,
    purchase_likelihood,
    spend_likelihood,
)

CDNOW = PurchaseModel(0.243, 4.414, 0.793, 2.426)
"""In weeks, as published (Fader, Hardie, Lee 2005)."""
CDNOW_SPEND = SpendModel(6.25, 3.74, 15.44)
"""As published (Fader, Hardie 2013)."""


def _log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


purchase_models = st.builds(
    PurchaseModel, _log_uniform(0.01, 20), _log_uniform(0.1, 500), _log_uniform(0.05, 50), _log_uniform(0.01, 1_000)
)
spend_models = st.builds(SpendModel, _log_uniform(0.01, 50), _log_uniform(1.01, 50), _log_uniform(1e-3, 1e9))


@st.composite
def histories(draw: st.DrawFn) -> History:
    repeats = draw(st.one_of(st.integers(0, 5), st.integers(0, 3_000)))
    age = draw(st.floats(0, 1_500))
    last = draw(st.floats(0, 1)) * age if repeats else 0.0
    return History(repeats, last, age, draw(st.floats(-1e12, 1e12)), draw(st.floats(-1e13, 1e13)))


def test_a_published_forecast_is_met() -> None:
    """Customer 1 of CDNOW, the following 39 weeks (Fader, Hardie, Lee, "Implementing the BG/NBD model in Excel")."""
    assert expected_orders(CDNOW, History(2, 30.43, 38.86), 39) == pytest.approx(1.226, abs=5e-4)


@given(purchase_models, histories(), st.floats(1, 400))
def test_expected_orders_are_the_mean_over_what_a_person_may_be(
    model: PurchaseModel, history: History, days: float
) -> None:
    """Of those who are alive, rates are gamma (r + x, alpha + T) and departures beta (a, b + x): summed at 100,001."""
    count, stays = model.r + history.repeats, model.b + history.repeats
    u = min(days / (model.alpha + history.age), 50)
    middle = math.log(model.a / stays)
    odds = np.linspace(min(middle, -math.log(u)) - 20 - 30 / min(model.a, 1), middle + 20 + 30 / min(stays, 1), 100_001)
    leaving, staying = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
    density = np.exp(model.a * leaving + stays * staying - betaln(model.a, stays))
    alive = np.trapezoid(-np.expm1(-count * np.log1p(np.exp(leaving) * u)) * np.exp(-leaving) * density, odds)
    told = expected_orders(model, history, days)
    assert told == pytest.approx(float(alive) * alive_probability(model, history), rel=0.01, abs=1e-9)


@given(_log_uniform(0.001, 1_000), _log_uniform(0.001, 1e4))
def test_means_over_beta_are_right_for_powers(a: float, b: float) -> None:
    points, weights = beta_nodes(a, b)
    assert weights.sum() == pytest.approx(1)
    assert weights @ points == pytest.approx(a / (a + b))
    assert weights @ points**2 == pytest.approx(a * (a + 1) / (a + b) / (a + b + 1))


@given(purchase_models, st.integers(0, 50))
def test_both_ways_to_expect_orders_meet(model: PurchaseModel, repeats: int) -> None:
    long, short = (
        expected_orders(model, History(repeats, 0.0, 500.0), (model.alpha + 500) * u) for u in (0.999999, 1.000001)
    )
    assert short == pytest.approx(long, rel=1e-4)


@given(purchase_models, spend_models, histories(), st.floats(0, 1))
def test_what_is_expected_is_finite_and_never_negative(
    purchases: PurchaseModel, spending: SpendModel, history: History, share: float
) -> None:
    told = outlook(purchases, spending, history, share)
    assert 0 <= told.alive <= 1
    assert told.spend >= 0
    assert math.isfinite(told.spend)
    if history.mean <= 0:
        assert told.spend == 0


@given(purchase_models, histories())
def test_the_longer_nothing_comes_the_less_a_person_is_alive(model: PurchaseModel, history: History) -> None:
    later = History(history.repeats, history.last, history.age + 30)
    assert alive_probability(model, later) <= alive_probability(model, history)


def test_one_order_alone_tells_nothing_of_leaving() -> None:
    assert alive_probability(CDNOW, History(0, 0.0, 500.0)) == 1


@given(spend_models, st.integers(0, 1_000), st.floats(0.01, 1e6))
def test_an_order_value_is_between_the_own_mean_and_that_of_all(model: SpendModel, repeats: int, mean: float) -> None:
    everyone = model.p * model.gamma / (model.q - 1)
    told = expected_order_value(model, History(repeats, 0.0, 0.0, mean))
    assert min(mean, everyone) * (1 - 1e-9) <= told <= max(mean, everyone) * (1 + 1e-9)


def test_spending_on_as_ever_is_expected_to_go_on() -> None:
    """One order of 10 a day for three years: 900 in 90 days, whoever is asked."""
    days = range(1_000)
    recent = sum(10 * 2 ** (-day / 30) for day in days)
    history = History(len(days) - 1, 999.0, 999.0, 10.0, recent)
    steady = PurchaseModel(1.0, 5.0, 0.01, 20.0)
    assert recent_spend(steady, history, 10.0, 90) == pytest.approx(900, rel=0.15)
    for share in (0.0, 0.5, 1.0):
        assert outlook(steady, SpendModel(5, 5, 8), history, share).spend == pytest.approx(900, rel=0.15)


def test_who_spends_less_of_late_is_expected_to_spend_less() -> None:
    fading, going_on = (History(20, 290.0, 300.0, 10.0, recent) for recent in (5.0, 40.0))
    told = [outlook(CDNOW, CDNOW_SPEND, history).spend for history in (fading, going_on)]
    alone = [outlook(CDNOW, CDNOW_SPEND, history, 0.0).spend for history in (fading, going_on)]
    assert told[0] < told[1]
    assert alone[0] == alone[1]


def _simulated(model: PurchaseModel, persons: int, seed: int) -> Purchases:
    random_ = random.Random(seed)
    rows = []
    for _ in range(persons):
        rate, departs = random_.gammavariate(model.r, 1 / model.alpha), random_.betavariate(model.a, model.b)
        age = random_.uniform(200, 400)
        repeats, last, now = 0, 0.0, random_.expovariate(rate) if rate > 0 else math.inf
        while now < age:
            repeats, last = repeats + 1, now
            if random_.random() < departs:
                break
            now += random_.expovariate(rate)
        rows.append((repeats, last, age))
    return Purchases(*np.array(rows, np.float64).T)


def test_a_fit_finds_the_population_that_it_was_drawn_from() -> None:
    truth = PurchaseModel(0.8, 30.0, 0.9, 3.0)
    persons = _simulated(truth, 8_000, seed=5)
    found = fit_purchases(persons)
    assert found is not None
    assert found.r == pytest.approx(truth.r, rel=0.1)
    assert found.alpha == pytest.approx(truth.alpha, rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.15)


def test_a_fit_of_order_values_finds_what_they_were_drawn_from() -> None:
    random_ = random.Random(6)
    rows = []
    for _ in range(8_000):
        orders = random_.randint(1, 12)
        scale = random_.gammavariate(4.0, 1 / 15.0)
        rows.append((orders, sum(random_.gammavariate(6.0, 1 / scale) for _ in range(orders)) / orders))
    found = fit_spending(Spending(*np.array(rows).T))
    assert found is not None
    assert (found.p, found.q, found.gamma) == pytest.approx((6.0, 4.0, 15.0), rel=0.15)


def test_the_unit_of_time_and_money_does_not_matter() -> None:
    persons = _simulated(CDNOW, 2_000, seed=9)
    weeks = fit_purchases(persons)
    days = fit_purchases(Purchases(persons.repeats, persons.last * 7, persons.age * 7))
    assert weeks is not None
    assert days is not None
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-3)
    assert (days.r, days.a, days.b) == pytest.approx((weeks.r, weeks.a, weeks.b), rel=1e-3)


@pytest.mark.parametrize("at", [(0.3, 5.0, 0.8, 2.0), (5.0, 100.0, 0.01, 40.0), (0.05, 0.5, 20.0, 0.1)])
def test_the_gradient_of_purchases_is_the_slope_of_their_likelihood(at: tuple[float, ...]) -> None:
    persons = _simulated(CDNOW, 300, seed=3)
    _, gradient = purchase_likelihood(np.array(at), persons)
    assert gradient == pytest.approx(_slope(lambda point: purchase_likelihood(point, persons)[0], at), rel=1e-4)


@pytest.mark.parametrize("at", [(6.0, 4.0, 15.0), (0.2, 1.5, 400.0)])
def test_the_gradient_of_order_values_is_the_slope_of_their_likelihood(at: tuple[float, ...]) -> None:
    values = Spending(np.array([1.0, 4, 30]), np.array([3.0, 18, 55]))
    _, gradient = spend_likelihood(np.array(at), values)
    assert gradient == pytest.approx(_slope(lambda point: spend_likelihood(point, values)[0], at), rel=1e-4)


def _slope(value: object, at: tuple[float, ...]) -> list[float]:
    assert callable(value)
    slopes = []
    for place in range(len(at)):
        step = np.zeros(len(at))
        step[place] = at[place] * 1e-5
        slopes.append((value(np.array(at) + step) - value(np.array(at) - step)) / (2 * step[place]))
    return slopes


@pytest.mark.parametrize("repeats", [0.0, 5_000.0])
def test_populations_of_one_kind_of_person_are_fitted_too(repeats: float) -> None:
    """Nothing repeated at all, and daily orders of years: no overflow, and a forecast all the same."""
    many = np.ones(MIN_PERSONS)
    found = fit_purchases(Purchases(many * repeats, many * (700.0 if repeats else 0.0), many * 700.0))
    assert found is not None
    value, gradient = purchase_likelihood(
        np.array([found.r, found.alpha, found.a, found.b]), Purchases(many * repeats, many * 0.0, many * 700.0)
    )
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    history = History(int(repeats), 700.0 if repeats else 0.0, 700.0)
    assert expected_orders(found, history, 90) == pytest.approx(repeats / 700 * 90, rel=0.05, abs=0.05)


def test_too_few_persons_give_no_model() -> None:
    few = np.ones(MIN_PERSONS - 1)
    assert fit_purchases(Purchases(few, few, few * 2)) is None
    assert fit_spending(Spending(few, few)) is None
