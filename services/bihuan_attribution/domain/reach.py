"""
How many different persons were shown something, by sketches.

A sketch is a HyperLogLog of Apache DataSketches (Flajolet, Fusy, Gandouet and Meunier 2007, "HyperLogLog: the analysis
of a near-optimal cardinality estimation algorithm"; the estimators after Lang 2017, "Back to the future: an even more
nearly optimal cardinality estimation algorithm", arXiv:1708.06839). It takes persons in any sequence and any number of
times, and the union of sketches is the sketch of the union, so that days and campaigns need not be disjoint. What goes
in is a keyed hash: a sketch alone names nobody.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Self

import datasketches

from bihuan_attribution.domain.report import Dimension
from bihuan_shared.errors import InvalidArgument

LG_K: Final = 12
"""4,096 registers: at most about 2 KiB, less than 0.5 KiB below 100 persons."""
RELATIVE_ERROR: Final = 1.04 / 2 ** (LG_K / 2)
"""Standard error of an estimate relative to the truth: 1.63 %, the larger one of sketches that were united."""
REACH_FLOOR: Final = 50
"""Fewer persons are not told: the same floor as for lists that are matched."""
REACH_DIMENSIONS: Final = frozenset(
    {
        Dimension.ADVERTISER,
        Dimension.CAMPAIGN,
        Dimension.CREATIVE,
        Dimension.PLACEMENT,
        Dimension.TRAFFIC_SOURCE,
        Dimension.DAY,
    }
)
"""What sketches are kept by; reach cannot be told by anything else."""


def hash_person(person_id: int, key: bytes) -> int:
    """64 bits that stand for a person in sketches: BLAKE2b under a key of at most 64 bytes."""
    return int.from_bytes(hashlib.blake2b(person_id.to_bytes(8, "big"), key=key, digest_size=8).digest(), "big")


class Sketch:
    """A set of persons, of which only the size can be told."""

    __slots__ = ("_held",)

    def __init__(self, held: "datasketches.hll_sketch | None" = None) -> None:
        self._held = held or datasketches.hll_sketch(LG_K, datasketches.tgt_hll_type.HLL_4)

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` made; ValueError for anything else."""
        return cls(datasketches.hll_sketch.deserialize(content))

    @classmethod
    def united(cls, sketches: Iterable["Sketch"]) -> Self:
        """The union of sketches."""
        union = datasketches.hll_union(LG_K)
        for one in sketches:
            union.update(one._held)  # noqa: SLF001  # its own kind
        return cls(union.get_result(datasketches.tgt_hll_type.HLL_4))

    def add(self, hashes: Iterable[int]) -> None:
        """Take in persons by their hashes; one that is in it already changes nothing."""
        for one in hashes:
            self._held.update(one)

    @property
    def estimate(self) -> int:
        """How many different persons there are, about."""
        return round(float(self._held.get_estimate()))

    def to_bytes(self) -> bytes:
        """What `of_bytes` reads."""
        return bytes(self._held.serialize_compact())


def told(estimate: int) -> int | None:
    """An estimate as far as it may be told."""
    return estimate if estimate >= REACH_FLOOR else None


def check_dimensions(dimensions: Iterable[Dimension]) -> None:
    """Refuse dimensions that sketches are not kept by, naming the field."""
    for index, one in enumerate(dimensions):
        if one not in REACH_DIMENSIONS:
            known = ", ".join(sorted(name.name.lower() for name in REACH_DIMENSIONS))
            raise InvalidArgument.of(f"dimensions[{index}]", f"reach is told by {known} only")
