"""
Numbers of persons, so that a range is found exactly and without looking at everyone.

A column of up to `SMALL` persons is a bitmap with the values beside it. A larger one is cut into up to 256 buckets by
value: each is a bitmap with its values in the order of the persons, left out where all are the same, and before every
8th comes the union of all before (before every 4th or oftener where buckets are few, for then they hold many). A range
is what lies between the two such unions that are nearest to its ends, a few whole buckets more or less, and of the two
at the ends those persons whose value fits.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from pyroaring import BitMap

from bihuan_scoring.tag_index.content import Content, Numbers, bitmap_of, persons_of
from bihuan_shared.targeting import Span

SMALL: Final = 8_192
_PER_BUCKET: Final = 4_096
_MOST_BUCKETS: Final = 256
_MOST_UNIONS: Final = 32
_SAMPLE: Final = 100_000
_LISTED: Final = 16
"""A bitmap of less than one in so many persons holds a list of them."""


def values_key(column: str) -> str:
    """The values of a small column, in the order of its persons."""
    return f"{column}\0v"


def bounds_key(column: str) -> str:
    """The least and the greatest value of each bucket, in two rows."""
    return f"{column}\0b"


def bucket_key(column: str, bucket: int) -> str:
    """Persons and values of one bucket."""
    return f"{column}\0#{bucket}"


def run_key(column: str, run: int) -> str:
    """Everyone in the buckets before the `run`-th union."""
    return f"{column}\0r{run}"


def persons_key(array: str) -> str | None:
    """The bitmap in whose order the values of an array are; None of an array that is no such one."""
    column, _, part = array.rpartition("\0")
    if part == "v":
        return column
    return array if column and part.startswith("#") else None


def put_column(
    bitmaps: dict[str, BitMap], arrays: dict[str, Numbers], column: str, persons: Numbers, values: Numbers
) -> None:
    """Add a column; `persons` ascend, and `values` are theirs and no NaN."""
    bitmaps[column] = bitmap_of(persons)
    values = np.ascontiguousarray(values, dtype=np.float64)
    if len(persons) <= SMALL:
        arrays[values_key(column)] = values
        return
    bucket_of = _buckets(values)
    # Stable, so that persons ascend within a bucket.
    order = np.argsort(bucket_of, kind="stable")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(bucket_of[order])) + 1))
    sorted_values = values[order]
    lows = np.minimum.reduceat(sorted_values, starts)
    highs = np.maximum.reduceat(sorted_values, starts)
    arrays[bounds_key(column)] = np.stack([lows, highs])
    so_far, step = BitMap(), _step(len(starts))
    ends = [*starts[1:].tolist(), len(values)]
    for bucket, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        if bucket and bucket % step == 0:
            bitmaps[run_key(column, bucket // step)] = so_far.copy()
        found = bitmap_of(persons[order[start:end]])
        bitmaps[bucket_key(column, bucket)] = found
        so_far |= found
        if lows[bucket] != highs[bucket]:
            arrays[bucket_key(column, bucket)] = sorted_values[start:end].copy()


def _buckets(values: Numbers) -> Numbers:
    """The bucket of each value: one a value where these are few, else about as many persons in each."""
    sample = values if len(values) <= _SAMPLE else values[:: len(values) // _SAMPLE]
    cuts = np.unique(sample)
    if len(cuts) > _MOST_BUCKETS:
        cuts = _quantiles(sample, min(_MOST_BUCKETS, len(values) // _PER_BUCKET))
    return np.searchsorted(cuts, values, side="right").astype(np.uint16)


def _quantiles(sample: Numbers, wanted: int) -> Numbers:
    """Values that cut the sample into like parts; one that is met several times is a part of its own."""
    ordered = np.sort(sample)
    cuts, met = np.unique(ordered[np.arange(1, wanted) * len(ordered) // wanted], return_counts=True)
    return np.union1d(cuts, np.nextafter(cuts[met > 1], np.inf))


def within(content: Content, column: str, span: Span, among: BitMap | None = None) -> BitMap:
    """Whose value is in a span, of everyone or of `among`; a set of its own."""
    bounds = content.arrays.get(bounds_key(column))
    if bounds is None:
        values = content.arrays.get(values_key(column))
        found = BitMap() if values is None else _fitting(content.bitmap(column), values, span)
        return found if among is None else found & among
    lows, highs = bounds
    first = int(np.searchsorted(highs, span.low, side="right" if span.low_open else "left"))
    end = int(np.searchsorted(lows, span.high, side="left" if span.high_open else "right"))
    if first >= end:
        return BitMap()
    whole_first = first + (float(lows[first]) not in span)
    whole_end = end - (float(highs[end - 1]) not in span)
    more = [
        _fitting(content.bitmap(bucket_key(column, bucket)), content.arrays[bucket_key(column, bucket)], span)
        for bucket in dict.fromkeys(edge for edge in (first, end - 1) if not whole_first <= edge < whole_end)
    ]
    return _with_whole(content, column, (whole_first, whole_end), more, among)


def _fitting(persons: BitMap, values: Numbers, span: Span) -> BitMap:
    above = values > span.low if span.low_open else values >= span.low
    fits = above & (values < span.high if span.high_open else values <= span.high)
    return bitmap_of(persons_of(persons)[fits])


def _with_whole(
    content: Content, column: str, whole: tuple[int, int], more: list[BitMap], among: BitMap | None
) -> BitMap:
    """
    Everyone in whole buckets, and some more.

    The buckets are what lies between the nearest unions, give or take a few.
    """
    first, end = whole
    count = content.arrays[bounds_key(column)].shape[1]
    low, high = _cheapest(content, column, first, taken=True), _cheapest(content, column, end, taken=False)
    if end <= first or low >= high:
        more += _buckets_of(content, column, first, end)
        return _united(more, among)
    top, bottom = _before(content, column, high, count), _before(content, column, low, count)
    found = (top if among is None else among & top) - bottom
    less = [*_buckets_of(content, column, low, first), *_buckets_of(content, column, end, high)]
    more += [*_buckets_of(content, column, first, low), *_buckets_of(content, column, high, end)]
    # In place bitmaps that hold many are changed at once, but those that list few slowly.
    listed = len(found) * _LISTED <= len(content.persons)
    for one in less:
        if listed:
            found = found - one
        else:
            found -= one
    for one in [_united(more, among)] if listed or among is not None else more:
        found |= one
    return found


def _united(parts: Iterable[BitMap], among: BitMap | None) -> BitMap:
    """Two by two, as uniting several small bitmaps at once makes large ones of them first."""
    found = BitMap()
    for part in parts:
        found |= part if among is None else part & among
    return found


def _buckets_of(content: Content, column: str, first: int, end: int) -> list[BitMap]:
    return [content.bitmap(bucket_key(column, bucket)) for bucket in range(first, end)]


def _cheapest(content: Content, column: str, bucket: int, *, taken: bool) -> int:
    """
    The bucket, near to this one, before which there is a union that costs the least to go on from.

    All buckets are one too. A union that is `taken` away costs what it lists, if it lists few, and each bucket between
    costs those in it.
    """
    count = content.arrays[bounds_key(column)].shape[1]
    step = _step(count)
    below = bucket // step * step
    costs = {}
    for end in (below, min(below + step, count)):
        costs[end] = sum(map(len, _buckets_of(content, column, min(bucket, end), max(bucket, end))))
        union = len(_before(content, column, end, count))
        if taken and union * _LISTED <= len(content.persons):
            costs[end] += union
    return min(costs, key=costs.__getitem__)


def _before(content: Content, column: str, bucket: int, count: int) -> BitMap:
    if bucket == count:
        return content.bitmap(column)
    return content.bitmap(run_key(column, bucket // _step(count)))


def _step(count: int) -> int:
    """Of so many buckets, how many lie between two unions."""
    return -(-count // _MOST_UNIONS)


def columns_of(content: Content) -> Iterator[str]:
    """The keys of all columns."""
    for key in content.arrays:
        column, _, part = key.rpartition("\0")
        if part in {"v", "b"} and column:
            yield column


def values_of(content: Content, column: str) -> tuple[Numbers, Numbers]:
    """Everyone in a column, ascending, and the values; nobody where there is no such column."""
    bounds = content.arrays.get(bounds_key(column))
    if bounds is None:
        values = content.arrays.get(values_key(column))
        return persons_of(content.bitmap(column)), np.empty(0) if values is None else values
    keys = [bucket_key(column, bucket) for bucket in range(bounds.shape[1])]
    found = [persons_of(content.bitmap(key)) for key in keys]
    parts = [
        content.arrays[key] if key in content.arrays else np.full(len(persons), low)
        for key, persons, low in zip(keys, found, bounds[0], strict=True)
    ]
    persons = np.concatenate(found)
    order = np.argsort(persons)
    return persons[order], np.concatenate(parts)[order]
