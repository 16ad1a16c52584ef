"""
Money as integers. Inside the ledger an amount is nanos (10⁻⁹ of a currency unit), in the API micros (10⁻⁶).

Nothing here ever sees a float. Shares and rates are parts per million (ppm).
"""

import re
from collections.abc import Sequence
from typing import Final

NANOS_PER_MICRO: Final = 1_000
MICROS_PER_UNIT: Final = 1_000_000
NANOS_PER_UNIT: Final = NANOS_PER_MICRO * MICROS_PER_UNIT
PPM: Final = 1_000_000
"""One whole, in parts per million."""

MAX_NANOS: Final = 2**63 - 1
"""Largest amount that a ledger column holds; the smallest is its negative."""
MAX_MICROS: Final = MAX_NANOS // NANOS_PER_MICRO
"""Largest amount of the API that still fits into nanos."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)


def is_currency(text: str) -> bool:
    """Whether `text` has the form of an ISO 4217 code: three upper-case letters."""
    return _CURRENCY.fullmatch(text) is not None


def checked_nanos(amount_nanos: int) -> int:
    """The amount itself; OverflowError where it does not fit a ledger column."""
    if not -MAX_NANOS <= amount_nanos <= MAX_NANOS:
        raise OverflowError("amount is outside what the ledger holds")
    return amount_nanos


def micros_to_nanos(amount_micros: int) -> int:
    """The same amount in nanos; OverflowError where it does not fit a ledger column."""
    return checked_nanos(amount_micros * NANOS_PER_MICRO)


def nanos_to_micros(amount_nanos: int) -> int:
    """The amount in micros, rounded half to even; for reports, never for what is billed."""
    return _divide_half_even(amount_nanos, NANOS_PER_MICRO)


def round_to_unit_nanos(amount_nanos: int, unit_nanos: int) -> int:
    """The multiple of `unit_nanos` (more than 0) that is nearest, in nanos; half-way goes to the even multiple."""
    return _divide_half_even(amount_nanos, unit_nanos) * unit_nanos


def mul_ppm_nanos(amount_nanos: int, ppm: int) -> int:
    """
    The part of `amount_nanos` that `ppm` millionths are, rounded half to even.

    OverflowError where the product does not fit a ledger column. Half-even is symmetric, so a reversal of the amount
    gives exactly the reversal of the product.
    """
    return checked_nanos(_divide_half_even(amount_nanos * ppm, PPM))


def split_ppm(amount_nanos: int, shares_ppm: Sequence[int]) -> tuple[int, ...]:
    """
    Split an amount by shares that sum to 1,000,000 ppm; the parts sum to the amount, to the nano.

    Each part is within one nano of its exact share: what rounding down leaves goes to the largest remainders, the
    earlier share first among equals. The split of a reversal is the reversal of the split. ValueError where a share
    is negative or the shares are not one whole.
    """
    if any(share < 0 for share in shares_ppm) or sum(shares_ppm) != PPM:
        raise ValueError("shares must not be negative and must sum to 1,000,000 ppm")
    magnitude = abs(checked_nanos(amount_nanos))
    parts, remainders = [], []
    for share in shares_ppm:
        part, remainder = divmod(magnitude * share, PPM)
        parts.append(part)
        remainders.append(remainder)
    by_remainder = sorted(range(len(parts)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: magnitude - sum(parts)]:
        parts[index] += 1
    return tuple(parts if amount_nanos >= 0 else (-part for part in parts))


def _divide_half_even(numerator: int, denominator: int) -> int:
    quotient, remainder = divmod(numerator, denominator)
    doubled = 2 * remainder
    if doubled > denominator or (doubled == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient
