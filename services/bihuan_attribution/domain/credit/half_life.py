"""Powers of one half in integers, so that every machine decays alike."""

from math import isqrt
from typing import Final

FIXED_BITS: Final = 96
"""A fixed-point number `x` stands for `x / 2**FIXED_BITS`."""
FRACTION_BITS: Final = 64
"""Ages are told apart to this fraction of a half-life."""


def _roots() -> tuple[int, ...]:
    """2^(-1/2), 2^(-1/4), ... in fixed point, one a bit of the fraction, each the integer root of the one before."""
    roots = [1 << (FIXED_BITS - 1)]
    for _ in range(FRACTION_BITS):
        roots.append(isqrt(roots[-1] << FIXED_BITS))
    return tuple(roots[1:])


_ROOTS: Final = _roots()


def decayed(age: int, half_life: int) -> int:
    """
    What is left of one whole after an age: `2 ** (-age / half_life)` in fixed point, in integer arithmetic alone.

    The integer part of `age / half_life` shifts, and each set bit of the fraction multiplies by its root of one half,
    rounding down. The error stays below 2^-64 of the result before the shift, an older age never keeps more, and
    beyond `FIXED_BITS` half-lives nothing is left. `age` >= 0 and `half_life` > 0, in the same unit.
    """
    halvings, rest = divmod(age, half_life)
    if halvings > FIXED_BITS:
        return 0
    fraction = (rest << FRACTION_BITS) // half_life
    left = 1 << FIXED_BITS
    for place, root in enumerate(_ROOTS, 1):
        if fraction >> (FRACTION_BITS - place) & 1:
            left = left * root >> FIXED_BITS
    return left >> halvings
