"""Several segments of one block as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pyroaring import BitMap

from bihuan_scoring.tag_index.column import columns_of, put_column, values_of
from bihuan_scoring.tag_index.content import (
    COVERS,
    DUE_PERSONS,
    DUE_TIMES,
    PERSONS,
    Content,
    Numbers,
    instant_key,
    interest_key,
    is_plain,
    persons_of,
)
from bihuan_scoring.tag_index.decay import instant_growth, long_growth

_NOTHING: Final = 1e-30
"""An interest of minutes below this is dropped when segments are merged: after two days at the latest."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A segment, and those of its persons of whom a newer one says something."""

    content: Content
    hidden: BitMap

    @property
    def live(self) -> int:
        """How many persons are there and not hidden."""
        return len(self.content.persons) - len(self.content.persons & self.hidden)


def merged(parts: Sequence[Placed], origin_us: int, *, lowest: bool) -> Content:
    """
    What the parts say together, interests as of `origin_us`.

    Where nothing is below them (`lowest`), persons who are gone are forgotten; else it is kept that they are.
    """
    bitmaps: dict[str, BitMap] = {}
    arrays: dict[str, Numbers] = {}
    columns = {column for part in parts for column in columns_of(part.content)}
    for key in {key for part in parts for key in part.content.bitmaps if is_plain(key)}:
        bitmaps[key] = BitMap().union(*(part.content.bitmap(key) - part.hidden for part in parts))
        bitmaps[key].run_optimize()
    bitmaps[COVERS] = (
        bitmaps.get(PERSONS, BitMap()) if lowest else BitMap().union(*(part.content.covers for part in parts))
    )
    for column in columns:
        _merge_column(parts, column, origin_us, bitmaps, arrays)
    _merge_due(parts, arrays)
    return Content(parts[0].content.block, origin_us, {k: v for k, v in bitmaps.items() if v}, arrays)


def _merge_column(
    parts: Sequence[Placed], column: str, origin_us: int, bitmaps: dict[str, BitMap], arrays: dict[str, Numbers]
) -> None:
    all_persons, all_values = [], []
    instant = column.startswith(instant_key(""))
    for part in parts:
        persons, values = values_of(part.content, column)
        keep = ~np.isin(persons, persons_of(part.hidden & part.content.bitmap(column)), assume_unique=True)
        if column.startswith(interest_key("")):
            values = values * long_growth(origin_us, part.content.origin_us)
        elif instant:
            values = values * instant_growth(origin_us, part.content.origin_us)
            keep &= values > _NOTHING
        all_persons.append(persons[keep])
        all_values.append(values[keep])
    persons, values = np.concatenate(all_persons), np.concatenate(all_values)
    if len(persons):
        order = np.argsort(persons)
        put_column(bitmaps, arrays, column, persons[order], values[order])


def _merge_due(parts: Sequence[Placed], arrays: dict[str, Numbers]) -> None:
    times, persons = [], []
    for part in parts:
        due = part.content.arrays.get(DUE_PERSONS)
        if due is not None:
            keep = ~np.isin(due, persons_of(part.hidden))
            persons.append(due[keep])
            times.append(part.content.arrays[DUE_TIMES][keep])
    if times:
        every = np.concatenate(times)
        order = np.argsort(every, kind="stable")
        arrays[DUE_TIMES], arrays[DUE_PERSONS] = every[order], np.concatenate(persons)[order]
