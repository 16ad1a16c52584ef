"""From what profile tells of persons to a segment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.tag_index.column import put_column
from bihuan_scoring.tag_index.content import (
    BLOCK_BITS,
    COVERS,
    DUE_PERSONS,
    DUE_TIMES,
    PERSONS,
    Content,
    Numbers,
    bitmap_of,
    flag_key,
    instant_key,
    interest_key,
    number_key,
    segment_key,
    text_key,
    texts_key,
)
from bihuan_scoring.tag_index.decay import instant_growth, long_growth

_LOW_BITS: Final = (1 << BLOCK_BITS) - 1


def drafted(readings: Iterable[Reading], origin_us: int) -> list[Content]:
    """
    One segment a block of persons, interests as of `origin_us`.

    The last reading of a person counts; one without facts says that the person is gone.
    """
    latest = {reading.person_id: reading for reading in readings}
    by_block: dict[int, list[Reading]] = defaultdict(list)
    for person_id in sorted(latest):
        by_block[person_id >> BLOCK_BITS].append(latest[person_id])
    return [_content(block, readings_of, origin_us) for block, readings_of in by_block.items()]


def _content(block: int, readings: Sequence[Reading], origin_us: int) -> Content:
    sets: defaultdict[str, list[int]] = defaultdict(list)
    columns: defaultdict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    due: list[tuple[int, int]] = []
    for reading in readings:
        person = reading.person_id & _LOW_BITS
        sets[COVERS].append(person)
        if reading.facts is None:
            continue
        sets[PERSONS].append(person)
        _add_attributes(sets, columns, person, reading.facts.attributes)
        for segment_id in reading.facts.segments:
            sets[segment_key(segment_id)].append(person)
        slow, fast = long_growth(origin_us, reading.read_us), instant_growth(origin_us, reading.read_us)
        for tag, long_term, instant in reading.facts.interests:
            if long_term > 0:
                _add(columns[interest_key(tag)], person, long_term * slow)
            if instant > 0:
                _add(columns[instant_key(tag)], person, instant * fast)
        if reading.due_us:
            due.append((reading.due_us, person))
    bitmaps = {key: bitmap_of(persons) for key, persons in sets.items()}
    arrays: dict[str, Numbers] = {}
    for key, (persons, values) in columns.items():
        put_column(bitmaps, arrays, key, np.array(persons, np.uint32), np.array(values))
    put_due(arrays, due)
    return Content(block, origin_us, bitmaps, arrays)


def _add_attributes(
    sets: Mapping[str, list[int]],
    columns: Mapping[str, tuple[list[int], list[float]]],
    person: int,
    attributes: Mapping[str, str | float | bool],
) -> None:
    for name, value in attributes.items():
        if isinstance(value, bool):
            sets[flag_key(name, value=value)].append(person)
        elif isinstance(value, str):
            sets[text_key(name, value)].append(person)
            sets[texts_key(name)].append(person)
        elif value == value:  # noqa: PLR0124  # not NaN
            _add(columns[number_key(name)], person, value)


def _add(column: tuple[list[int], list[float]], person: int, value: float) -> None:
    column[0].append(person)
    column[1].append(value)


def put_due(arrays: dict[str, Numbers], due: Iterable[tuple[int, int]]) -> None:
    """Add when persons are to be read again, as (microseconds, person)."""
    ordered = sorted(due)
    if ordered:
        arrays[DUE_TIMES] = np.array([time_us for time_us, _ in ordered], np.int64)
        arrays[DUE_PERSONS] = np.array([person for _, person in ordered], np.uint32)
