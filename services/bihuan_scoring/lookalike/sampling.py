"""
Drawing the rows to train on: by a hash of the person id, so that neither partitions nor order matter.

The hash is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), a bijection
of 64 bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_WHOLE = float(2**64)


@dataclass(frozen=True, slots=True, eq=False)
class SamplePlan:
    """
    Whom to draw: seeds with the rate `seed_rate`, everybody else with `pool_rate`.

    `seed_ids` is sorted and holds no id twice.
    """

    seed_ids: Ids
    seed_rate: float
    pool_rate: float
    salt: int


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Drawn rows, and which of them are seeds; `rows` and `seeds` count everybody who was looked at."""

    batch: pa.RecordBatch
    is_seed: Flags
    rows: int
    seeds: int


def plan_sample(seed_ids: Ids, rows: int, most_seeds: int, most_others: int, salt: int) -> SamplePlan:
    """A plan whose expected draws keep to the bounds, for a pool of `rows` persons."""
    others = max(1, rows - len(seed_ids))
    return SamplePlan(seed_ids, min(1.0, most_seeds / max(1, len(seed_ids))), min(1.0, most_others / others), salt)


def draw(batch: pa.RecordBatch, plan: SamplePlan) -> Sample:
    """The rows of a batch that the plan draws."""
    person_ids = batch.column("person_id").to_numpy()
    is_seed = contains(plan.seed_ids, person_ids)
    drawn = unit(person_ids, plan.salt) < np.where(is_seed, plan.seed_rate, plan.pool_rate)
    return Sample(batch.filter(pa.array(drawn)), is_seed[drawn], len(person_ids), int(is_seed.sum()))


def contains(sorted_ids: Ids, person_ids: Ids) -> Flags:
    """Which of the persons are among the sorted ids."""
    if not len(sorted_ids):
        return np.zeros(len(person_ids), dtype=bool)
    places = np.minimum(np.searchsorted(sorted_ids, person_ids), len(sorted_ids) - 1)
    found: Flags = sorted_ids[places] == person_ids
    return found


def hashed(person_ids: Ids, salt: int) -> Hashes:
    """64 bits a person, evenly spread, and no two persons the same."""
    bits = person_ids.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def unit(person_ids: Ids, salt: int) -> npt.NDArray[np.float64]:
    """The hash as a number in [0, 1)."""
    return hashed(person_ids, salt).astype(np.float64) / _WHOLE


def fold_of(person_ids: Ids, folds: int, salt: int) -> Ids:
    """The fold of each person, in [0, folds)."""
    return np.minimum((unit(person_ids, salt + 1) * folds).astype(np.int64), folds - 1)
