"""Counts the transitions of a Markov chain of some order in paths."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bihuan_attribution.domain.credit.paths import Ints, Measure, PathTable
from bihuan_shared.errors import InvalidArgument

MAX_ORDER: Final = 3
MAX_STATES: Final = 4_096
"""The matrices of a chain are dense: 128 MiB each at this size."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chain:
    """
    How often people were where, for `m` states: the last `order` channels, fewer at the beginning of a path.

    `newest` of shape (m,) is the channel each state ends in. `begins` (m,), `moves` (m, m) from row to column, and
    `ends` (m,) count people; `gains` (m,) are the conversions, or their value, of those who ended there.
    """

    newest: Ints
    begins: Floats
    moves: Floats
    ends: Floats
    gains: Floats

    @property
    def leaving(self) -> Floats:
        """How often each state was left, shape (m,)."""
        return np.asarray(self.moves.sum(axis=1) + self.ends, dtype=np.float64)


def count_chain(table: PathTable, order: int, measure: Measure) -> Chain:
    """
    Count a chain of order 1 to 3. Temporary memory is bounded by `PART_STEPS` and `MAX_STATES`, not by the table.

    More than `MAX_STATES` states raise `InvalidArgument`: group the channels, or lower the order.
    """
    if not 1 <= order <= MAX_ORDER:
        raise InvalidArgument.of("order", f"must be 1 to {MAX_ORDER}")
    keys = _state_keys(table, order)
    size = len(keys)
    begins, ends, gains = (np.zeros(size) for _ in range(3))
    moves = np.zeros(size * size)
    for part in map(_counted, table.parts()):
        if not len(part.codes):
            continue
        states = np.searchsorted(keys, _keys(part, order))
        people = (part.conversions + part.non_conversions).astype(np.float64)
        first, last = part.starts[:-1], part.starts[1:] - 1
        begins += np.bincount(states[first], people, size)
        ends += np.bincount(states[last], people, size)
        gains += np.bincount(states[last], part.outcomes(measure).astype(np.float64), size)
        inner = np.ones(len(states), dtype=np.bool_)
        inner[last] = False
        source = np.flatnonzero(inner)
        weight = np.repeat(people, np.diff(part.starts))[source]
        moves += np.bincount(states[source] * size + states[source + 1], weight, size * size)
    newest = keys % (len(table.channels) + 1) - 1
    return Chain(newest, begins, moves.reshape(size, size), ends, gains)


def _counted(part: PathTable) -> PathTable:
    """Leave out what says nothing: paths without a step, rows of nobody."""
    kept = (np.diff(part.starts) > 0) & (part.conversions + part.non_conversions > 0)
    return part if kept.all() else part.where(kept)


def _state_keys(table: PathTable, order: int) -> Ints:
    """The states that occur, ascending."""
    keys = np.empty(0, dtype=np.int64)
    for part in map(_counted, table.parts()):
        keys = np.union1d(keys, _distinct(_keys(part, order), len(table.channels)))
        if len(keys) > MAX_STATES:
            raise InvalidArgument.of("paths", f"more than {MAX_STATES} states; group the channels or lower the order")
    return keys


def _distinct(keys: Ints, channels: int) -> Ints:
    """Distinct keys; those of the first order are so few that counting beats sorting."""
    if len(keys) and keys.max() <= max(channels, MAX_STATES):
        return np.flatnonzero(np.bincount(keys))
    return np.unique(keys)


def _keys(part: PathTable, order: int) -> Ints:
    """The state after each step, shape (steps,): the last channels as digits, the newest the lowest, 0 for none."""
    digits = part.codes.astype(np.int64) + 1
    keys = digits.copy()
    place = np.arange(len(digits), dtype=np.int64) - np.repeat(part.starts[:-1], np.diff(part.starts))
    for back in range(1, order):
        earlier = np.zeros_like(digits)
        earlier[back:] = digits[:-back]
        earlier[place < back] = 0
        keys += earlier * (len(part.channels) + 1) ** back
    return keys
