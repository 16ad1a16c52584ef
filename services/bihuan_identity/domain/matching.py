"""Counting what is known of a list: how many different identifiers, of how many persons, within bounded memory."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap64

PRIVACY_FLOOR: Final = 50
"""Fewer persons than this are only told to be fewer."""

_LEAST_PENDING: Final = 65_536


class DistinctKeys:
    """
    Counts different 16-byte keys by their first 8 bytes, which are as good as random: two of a million share them with
    a probability of 3e-8. Keeps 8 bytes a different key, and at most as many again that wait to be merged.
    """

    __slots__ = ("_merged", "_pending")

    def __init__(self) -> None:
        self._merged: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._pending = array("Q")

    def add(self, keys: Iterable[bytes]) -> None:
        """Count keys; those seen before change nothing."""
        halves = array("Q", b"".join(keys))
        self._pending.extend(halves[::2])
        if len(self._pending) >= max(_LEAST_PENDING, len(self._merged)):
            self._merge()

    def count(self) -> int:
        """How many different ones there were."""
        self._merge()
        return len(self._merged)

    def held(self) -> int:
        """How many numbers are held now, of 8 bytes each."""
        return len(self._merged) + len(self._pending)

    def _merge(self) -> None:
        if self._pending:
            both = np.concatenate((self._merged, np.frombuffer(self._pending, np.uint64)))
            both.sort()  # and not np.union1d, which takes fifty times as long on a million numbers
            self._merged = both[np.append(both[1:] != both[:-1], True)]
            self._pending = array("Q")


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """What may be told: all that was sent, how many different identifiers of it are known, and of which persons."""

    sent: int
    matched: int
    below_floor: bool
    persons: BitMap64


class MatchTally:
    """The counts of one list while it arrives."""

    __slots__ = ("_keys", "_persons", "_sent")

    def __init__(self) -> None:
        self._keys = DistinctKeys()
        self._persons = BitMap64()
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many identifiers were sent so far."""
        return self._sent

    def add(self, sent: int, matched: Iterable[tuple[bytes, int]]) -> None:
        """Count a part of the list: how many were sent, and the key and person of each one that is known."""
        self._sent += sent
        pairs = list(matched)
        self._keys.add(key for key, _ in pairs)
        self._persons.update(person_id for _, person_id in pairs)

    def close(self) -> MatchCounts:
        """
        Return what may be told of the whole.

        The floor counts persons: many identifiers of a few persons would tell of those few as surely.
        """
        if len(self._persons) < PRIVACY_FLOOR:
            return MatchCounts(self._sent, 0, below_floor=True, persons=BitMap64())
        return MatchCounts(self._sent, self._keys.count(), below_floor=False, persons=self._persons)
