"""Integer money: rounding half to even, splitting without a residue."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.money import (
    MAX_MICROS,
    MAX_NANOS,
    PPM,
    checked_nanos,
    is_currency,
    micros_to_nanos,
    mul_ppm_nanos,
    nanos_to_micros,
    split_ppm,
)

AMOUNTS = st.integers(-MAX_NANOS, MAX_NANOS)
RATES = st.integers(0, PPM)


@st.composite
def whole_shares(draw: st.DrawFn) -> list[int]:
    cuts = sorted(draw(st.lists(RATES, max_size=6)))
    return [high - low for low, high in zip([0, *cuts], [*cuts, PPM], strict=True)]


@given(AMOUNTS, RATES)
def test_product_is_the_nearest_integer_and_even_on_a_tie(amount: int, ppm: int) -> None:
    exact = Fraction(amount * ppm, PPM)
    assert mul_ppm_nanos(amount, ppm) == round(exact)


@given(AMOUNTS, RATES)
def test_reversal_of_the_amount_reverses_the_product(amount: int, ppm: int) -> None:
    assert mul_ppm_nanos(-amount, ppm) == -mul_ppm_nanos(amount, ppm)


@given(AMOUNTS, whole_shares())
def test_split_sums_to_the_whole_and_each_part_is_within_one(amount: int, shares: list[int]) -> None:
    parts = split_ppm(amount, shares)
    assert sum(parts) == amount
    assert all(abs(part - Fraction(amount * share, PPM)) < 1 for part, share in zip(parts, shares, strict=True))
    assert split_ppm(-amount, shares) == tuple(-part for part in parts)


def test_residue_goes_to_the_largest_remainder_then_to_the_first() -> None:
    assert split_ppm(10, [333_333, 333_333, 333_334]) == (3, 3, 4)
    assert split_ppm(1, [500_000, 500_000]) == (1, 0)


@pytest.mark.parametrize("shares", [[], [PPM - 1], [PPM, 1], [PPM + 1, -1]])
def test_shares_that_are_no_whole_are_refused(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="shares"):
        split_ppm(1, shares)


def test_what_a_ledger_column_cannot_hold_overflows() -> None:
    assert checked_nanos(-MAX_NANOS) == -MAX_NANOS
    for call in (
        lambda: checked_nanos(MAX_NANOS + 1),
        lambda: checked_nanos(-MAX_NANOS - 1),
        lambda: micros_to_nanos(MAX_MICROS + 1),
        lambda: mul_ppm_nanos(MAX_NANOS, PPM + 1),
        lambda: split_ppm(MAX_NANOS + 1, [PPM]),
    ):
        with pytest.raises(OverflowError):
            call()


@given(st.integers(-MAX_MICROS, MAX_MICROS))
def test_micros_survive_the_way_through_nanos(micros: int) -> None:
    assert nanos_to_micros(micros_to_nanos(micros)) == micros


def test_half_a_micro_goes_to_the_even_one() -> None:
    assert [nanos_to_micros(nanos) for nanos in (500, 1_500, -500, -1_500, 501)] == [0, 2, 0, -2, 1]


@pytest.mark.parametrize(
    ("text", "expected"), [("CNY", True), ("cny", False), ("CN", False), ("CNY\n", False), ("ÄÖÜ", False), ("", False)]
)
def test_currency_is_three_upper_case_letters(text: str, expected: bool) -> None:  # noqa: FBT001
    assert is_currency(text) is expected
