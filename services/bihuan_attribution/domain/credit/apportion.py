"""Integers in proportion to others, with an exact sum."""

from collections.abc import Sequence


def apportion(whole: int, shares: Sequence[int]) -> tuple[int, ...]:
    """
    Split `whole` in proportion to non-negative shares, by the method of largest remainders (Hamilton's), exactly.

    Everyone gets the integer part of the quota `whole * share / sum`, and what is left goes one each to the largest
    remainders; equal remainders go to whoever stands later. The sum is `whole`, or 0 where every share is 0. A larger
    share never gets less.
    """
    total = sum(shares)
    if not total:
        return (0,) * len(shares)
    quotas = [divmod(whole * share, total) for share in shares]
    parts = [part for part, _ in quotas]
    left = whole - sum(parts)
    if left:
        favoured = sorted(range(len(quotas)), key=lambda place: (quotas[place][1], place))[-left:]
        for place in favoured:
            parts[place] += 1
    return tuple(parts)
