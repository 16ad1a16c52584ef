"""Paths of many people, as columns."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from bihuan_shared.errors import InvalidArgument

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
PART_STEPS: Final = 1 << 20
"""The temporary arrays of the models are this long, or as long as the longest path."""


class Measure(StrEnum):
    """What a data-driven model explains."""

    CONVERSIONS = "conversions"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class PathCount:
    """
    One sequence of channels, and how often people who went along it bought or did not.

    `value` is what those who bought spent, together, in any unit.
    """

    channels: tuple[str, ...]
    conversions: int
    non_conversions: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class PathTable:
    """
    Paths as columns: 4 bytes a step and 32 a path.

    `channels` are sorted; `codes` of shape (steps,) are places in it, path after path; path `i` is
    `codes[starts[i]:starts[i + 1]]`, so `starts` has the shape (paths + 1,). `conversions`, `non_conversions` and
    `values` have the shape (paths,). The same sequence may stand in any number of rows. Paths without a step, and rows
    that count nobody, say nothing and change nothing.
    """

    channels: tuple[str, ...]
    codes: Codes
    starts: Ints
    conversions: Ints
    non_conversions: Ints
    values: Ints

    @classmethod
    def of(cls, paths: Iterable[PathCount]) -> Self:
        """Number the channels of paths. Negative counts raise `InvalidArgument`."""
        rows = paths if isinstance(paths, Sequence) else list(paths)
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        steps = chain.from_iterable(path.channels for path in rows)
        found = np.fromiter(map(numbers.__getitem__, steps), dtype=np.int32)
        names = sorted(numbers)
        codes = np.empty(len(names), dtype=np.int32)
        codes[[numbers[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(np.fromiter((len(path.channels) for path in rows), np.int64, len(rows)), out=starts[1:])
        return cls.from_columns(
            tuple(names),
            codes[found],
            starts,
            np.fromiter((path.conversions for path in rows), np.int64, len(rows)),
            np.fromiter((path.non_conversions for path in rows), np.int64, len(rows)),
            np.fromiter((path.value for path in rows), np.int64, len(rows)),
        )

    @classmethod
    def from_columns(
        cls,
        channels: Sequence[str],
        codes: Codes,
        starts: Ints,
        conversions: Ints,
        non_conversions: Ints,
        values: Ints | None = None,
    ) -> Self:
        """
        Take columns that are numbered already, such as Arrow's dictionaries and offsets; shapes as of the class.

        `values` are 0 where none are given. What does not fit together raises `InvalidArgument`.
        """
        held = np.zeros_like(conversions) if values is None else values
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != len(codes) or (np.diff(starts) < 0).any():
            raise InvalidArgument.of("starts", "must grow from 0 to the number of steps")
        for name, column in (("conversions", conversions), ("non_conversions", non_conversions), ("values", held)):
            if len(column) != len(starts) - 1 or (column < 0).any():
                raise InvalidArgument.of(name, "must be one figure a path, and not negative")
        if (held[conversions == 0] > 0).any():
            raise InvalidArgument.of("values", "must be 0 where there is no conversion")
        if list(channels) != sorted(set(channels)):
            raise InvalidArgument.of("channels", "must be sorted and distinct")
        if len(codes) and not (codes.min() >= 0 and codes.max() < len(channels)):
            raise InvalidArgument.of("codes", "must be places in `channels`")
        return cls(tuple(channels), codes, starts, conversions, non_conversions, held)

    def outcomes(self, measure: Measure) -> Ints:
        """What a model explains, shape (paths,)."""
        return self.conversions if measure is Measure.CONVERSIONS else self.values

    def parts(self, steps: int = PART_STEPS) -> Iterator[Self]:
        """Split into views of whole paths, each of at most so many steps and paths, or of one path."""
        first = 0
        while first < len(self.conversions):
            end = int(np.searchsorted(self.starts, self.starts[first] + steps, side="right")) - 1
            end = max(first + 1, min(end, first + steps))
            begin, stop = self.starts[first], self.starts[end]
            yield type(self)(
                self.channels,
                self.codes[begin:stop],
                self.starts[first : end + 1] - begin,
                self.conversions[first:end],
                self.non_conversions[first:end],
                self.values[first:end],
            )
            first = end

    def where(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Only the paths that are kept, `kept` of shape (paths,); channels keep their numbers."""
        lengths = np.diff(self.starts)
        starts = np.zeros(int(kept.sum()) + 1, dtype=np.int64)
        np.cumsum(lengths[kept], out=starts[1:])
        return type(self)(
            self.channels,
            self.codes[np.repeat(kept, lengths)],
            starts,
            self.conversions[kept],
            self.non_conversions[kept],
            self.values[kept],
        )


Paths = PathTable | Iterable[PathCount]


def table_of(paths: Paths) -> PathTable:
    """A table as it is, anything else as one."""
    return paths if isinstance(paths, PathTable) else PathTable.of(paths)
