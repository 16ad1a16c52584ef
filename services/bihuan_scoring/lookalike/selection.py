"""
The best N of scored persons, in memory that does not grow with how many were scored.

Score and hash of a person make one 64-bit key; four passes over the stored scores count the keys by 16 bits each and
find the N-th largest, a last one takes whoever is above. Equal scores are thus cut by the hash of the person, which is
the same whatever the order and the partitions.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bihuan_scoring.lookalike.model import Scores
from bihuan_scoring.lookalike.sampling import Hashes, Ids, hashed

SCORED: Final = np.dtype([("person_id", "<i8"), ("score", "<f4")])
"""A row of a score file (`.npy`)."""

_DIGIT_BITS: Final = 16
_SIGN: Final = np.uint32(1 << 31)


def take_best(paths: Sequence[Path], count: int, salt: int) -> Ids:
    """Ids of the `count` best persons of these score files, ascending; everybody where there are fewer. Blocks."""
    threshold, ties = _threshold(paths, count, salt)
    above, at = [], []
    for person_ids, keys in _keys(paths, salt):
        above.append(person_ids[keys > threshold])
        at.append(person_ids[keys == threshold])
    best = np.concatenate([*above, np.sort(np.concatenate(at))[:ties]]) if above else np.empty(0, dtype=np.int64)
    best.sort()
    return best


def order_keys(person_ids: Ids, scores: Scores, salt: int) -> Hashes:
    """Keys that sort as the scores do, ties by the hash of the person."""
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN).astype(np.uint64)
    return (ordered << np.uint64(32)) | (hashed(person_ids, salt) >> np.uint64(32))


def _threshold(paths: Sequence[Path], count: int, salt: int) -> tuple[np.uint64, int]:
    """The key of the last one that is taken, and how many of that very key are."""
    prefix, left = 0, count
    for shift in range(64 - _DIGIT_BITS, -1, -_DIGIT_BITS):
        counts = np.zeros(1 << _DIGIT_BITS, dtype=np.int64)
        for _, keys in _keys(paths, salt):
            above = keys >> np.uint64(shift)
            # A shift by all 64 bits is not defined; the first digit has nothing above it.
            same = above[(above >> np.uint64(_DIGIT_BITS)) == np.uint64(prefix)]
            digits = (same & np.uint64((1 << _DIGIT_BITS) - 1)).astype(np.int64)
            counts += np.bincount(digits, minlength=len(counts))
        from_top = np.cumsum(counts[::-1])
        place = int(np.searchsorted(from_top, left))
        if place == len(counts):
            return np.uint64(0), int(counts[0])
        left -= int(from_top[place] - counts[::-1][place])
        prefix = (prefix << _DIGIT_BITS) | (len(counts) - 1 - place)
    return np.uint64(prefix), left


def _keys(paths: Sequence[Path], salt: int) -> Iterator[tuple[Ids, Hashes]]:
    for path in paths:
        rows = np.load(path)
        person_ids = np.ascontiguousarray(rows["person_id"])
        yield person_ids, order_keys(person_ids, rows["score"], salt)
