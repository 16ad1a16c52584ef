"""Quintiles, price bands, and the look over everyone that they come from."""

import random
from statistics import median

import numpy as np
import pytest
from datasketches import kll_doubles_sketch
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.record import EMPTY, Orders, Record, Spend
from bihuan_profile.domain.rfm import QUINTILE_SHARES, TERCILE_SHARES, part, price_band
from bihuan_profile.use_cases.surveying import MAX_CURRENCIES, SKETCH_K, Sample, Survey
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
values = st.one_of(st.integers(-50, 50).map(float), st.floats(-1e15, 1e15))


def buyer(
    orders: int, micros: int, *, ago_days: float = 1.0, currency: str = "USD", first_days: float = 10.0
) -> Record:
    last_us = NOW_US - round(ago_days * DAY_US)
    first_us = min(last_us, NOW_US - round(first_days * DAY_US))
    return Record(reference_us=last_us, orders=Orders(last_us, orders, {currency: Spend(micros, 0.0)}, first_us))


def cuts_of(everyone: list[float]) -> list[float]:
    return [float(cut) for cut in np.quantile(everyone, QUINTILE_SHARES, method="inverted_cdf")]


@given(st.lists(values, min_size=1, max_size=60), values, values)
def test_a_quintile_never_falls_as_the_value_rises(everyone: list[float], one: float, other: float) -> None:
    cuts = cuts_of(everyone)
    assert part(min(one, other), cuts) <= part(max(one, other), cuts)


@given(st.lists(st.integers(0, 12).map(float), min_size=1, max_size=60))
def test_equal_values_share_the_quintile_of_the_lowest_rank_among_them(everyone: list[float]) -> None:
    cuts = cuts_of(everyone)
    for value in everyone:
        below = sum(one < value for one in everyone)
        # In whole numbers: at least i fifths of all are strictly below.
        assert part(value, cuts) == 1 + sum(5 * below >= i * len(everyone) for i in range(1, 5))


def test_five_equal_parts_without_ties() -> None:
    everyone = [float(value) for value in range(100)]
    assert [sum(part(value, cuts_of(everyone)) == i for value in everyone) for i in range(1, 6)] == [20] * 5


def test_price_bands_are_thirds() -> None:
    cuts = (10.0, 20.0)
    assert [price_band(value, cuts) for value in (1.0, 10.0, 10.1, 20.0, 20.1)] == [
        "low", "low", "middle", "middle", "high",
    ]  # fmt: skip


def test_the_last_to_order_is_of_the_fifth_quintile_of_recency() -> None:
    survey = Survey(NOW_US)
    survey.add([(i, buyer(1, 1, ago_days=i)) for i in range(1, 101)])
    cuts = survey.population(0.5).recency.cuts
    assert part(NOW_US - DAY_US, cuts) == 5
    assert part(NOW_US - 100 * DAY_US, cuts) == 1


def test_cuts_lie_within_the_stated_error() -> None:
    """The statement holds at 99 %, and sketches draw lots: of five populations the middle one is taken."""
    random_ = random.Random(7)
    worst, bounds = [], []
    for _ in range(5):
        paid = [round(random_.lognormvariate(17, 1.5)) for _ in range(6_000)]
        survey = Survey(NOW_US)
        for start in range(0, len(paid), 100):
            survey.add([(start + i, buyer(1, micros)) for i, micros in enumerate(paid[start : start + 100])])
        population = survey.population(0.5)
        assert population.persons == 6_000
        bounds.append(population.rank_error)
        ranked = np.sort(np.array(paid, np.float64))
        scales = population.currencies["USD"]
        worst.append(
            max(
                abs(np.searchsorted(ranked, cut, "right") / len(ranked) - share)
                for cuts, shares in (
                    (scales.monetary.cuts, QUINTILE_SHARES),
                    (scales.order_value.cuts, TERCILE_SHARES),
                )
                for cut, share in zip(cuts, shares, strict=True)
            )
        )
    assert 0 < max(bounds) <= 0.01
    assert median(worst) <= min(bounds)


def test_a_sketch_is_what_the_cuts_were_read_from() -> None:
    survey = Survey(NOW_US)
    survey.add([(i, buyer(i, i)) for i in range(1, 50)])
    frequency = survey.population(0.5).frequency
    sketch = kll_doubles_sketch.deserialize(frequency.sketch)
    assert (sketch.n, sketch.k) == (49, SKETCH_K)
    assert tuple(sketch.get_quantiles(list(QUINTILE_SHARES), True)) == frequency.cuts


def test_those_without_orders_are_no_part_of_the_population() -> None:
    survey = Survey(NOW_US)
    survey.add([(1, EMPTY), (2, buyer(1, 5))])
    survey.add([(3, Record(orders=Orders(monetary={"USD": Spend(-5, 0.0)})))])
    population = survey.population(0.5)
    assert population.persons == 1
    assert population.currencies["USD"].persons == 1


def test_nobody_gives_an_empty_population() -> None:
    population = Survey(NOW_US).population(0.5)
    assert (population.persons, population.recency.cuts, dict(population.currencies)) == (0, (), {})


def test_amounts_are_compared_within_their_currency_and_the_most_used_comes_first() -> None:
    survey = Survey(NOW_US)
    survey.add([(i, buyer(1, 1_000, currency="JPY")) for i in range(3)])
    survey.add([(10 + i, buyer(1, 5, currency="EUR")) for i in range(5)])
    population = survey.population(0.5)
    assert list(population.currencies) == ["EUR", "JPY"]
    assert set(population.currencies["EUR"].monetary.cuts) == {5.0}
    assert population.main_currency({"JPY": 1, "EUR": 1}) == "EUR"
    assert population.main_currency({"JPY": 1}) == "JPY"
    assert population.main_currency({"CHF": 1}) is None


def test_currencies_are_bounded() -> None:
    survey = Survey(NOW_US)
    survey.add([(i, buyer(1, 5, currency=f"X{i:02}")) for i in range(MAX_CURRENCIES + 5)])
    assert list(survey.population(0.5).currencies) == [f"X{i:02}" for i in range(MAX_CURRENCIES)]


def test_what_was_all_returned_has_no_order_value() -> None:
    survey = Survey(NOW_US)
    survey.add([(1, buyer(2, 0)), (2, buyer(2, 8))])
    assert survey.population(0.5).currencies["USD"].order_value.cuts == (4.0, 4.0)


@given(st.lists(st.integers(1, 2**63), unique=True, min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_a_sample_does_not_depend_on_order_or_batches(person_ids: list[int], random_: random.Random) -> None:
    whole, cut = Sample(1, size=20), Sample(1, size=20)
    whole.add(person_ids, [[float(one % 1_000)] for one in person_ids])
    shuffled = random_.sample(person_ids, len(person_ids))
    for start in range(0, len(shuffled), 7):
        batch = shuffled[start : start + 7]
        cut.add(batch, [[float(one % 1_000)] for one in batch])
    assert sorted(whole.rows[:, 0]) == sorted(cut.rows[:, 0])
    assert len(whole.rows) == min(20, len(person_ids))


def test_a_sample_is_not_of_the_oldest_persons() -> None:
    sample = Sample(1, size=500)
    ids = range(1, 10_001)
    sample.add(ids, [[float(one)] for one in ids])
    assert sample.rows.mean() == pytest.approx(5_000, rel=0.1)
