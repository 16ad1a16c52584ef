"""
Columns that give the seed away instead of telling who is like it: found, named and dropped.

Three kinds: what the seed is defined by; what was learnt only after the seed was drawn; and what alone tells seed from
pool so well that it is the definition in another guise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import roc_auc_score

from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.layout import ORDERS, Layout
from bihuan_scoring.lookalike.sampling import Flags, Ids, fold_of
from bihuan_scoring.lookalike.snapshot import SEGMENT_PREFIX
from bihuan_shared.targeting import References

MOST_AUC: Final = 0.95
"""AUC of one column alone from which on it is taken for the definition."""
LEAST_DATED_SHARE: Final = 0.01
"""Share of seeds whose value is younger than the cut-off from which on a column is dropped."""
_MOST_ROWS: Final = 50_000


class Leak(StrEnum):
    """Why a column was dropped."""

    DEFINES_SEED = "DEFINES_SEED"
    AFTER_CUT_OFF = "AFTER_CUT_OFF"
    SEPARATES_ALONE = "SEPARATES_ALONE"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A column (or tag, or attribute) that was left out. `value` is the AUC, or the share of younger values."""

    feature: str
    leak: Leak
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Definition:
    """What the seed is defined by, as far as it is known."""

    attributes: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(cls, references: Sequence[References]) -> "Definition":
        """Of a seed that expressions define."""
        tags = {tag for each in references for tag in each.interests | each.instant_interests}
        segments = {SEGMENT_PREFIX + name for each in references for name in each.segments}
        attributes = {name for each in references for name in each.attributes}
        return cls(frozenset(attributes), frozenset(tags | segments))

    def dropped(self) -> list[Dropped]:
        """What is left out because of it."""
        names = [f"attribute_{name}" for name in sorted(self.attributes)]
        names += [f"tag_{tag}" for tag in sorted(self.tags)]
        return [Dropped(name, Leak.DEFINES_SEED) for name in names]


def younger(batch: pa.RecordBatch, is_seed: Flags, cut_off_us: int) -> list[Dropped]:
    """Attributes and order columns that hold, for seeds, what was learnt at the cut-off or after it."""
    seeds = max(1, int(is_seed.sum()))
    found: list[Dropped] = []
    ordered = batch.column("order_time_us").fill_null(0).to_numpy()
    share = float(((ordered >= cut_off_us) & is_seed).sum()) / seeds
    if share >= LEAST_DATED_SHARE:
        found += [Dropped(name, Leak.AFTER_CUT_OFF, share) for name in ORDERS]
    names = batch.column("attribute_names")
    owners = np.repeat(np.arange(len(names)), pc.list_value_length(names).fill_null(0).to_numpy())
    late = batch.column("attribute_times_us").flatten().to_numpy() >= cut_off_us
    texts = np.array(names.flatten().to_pylist(), dtype=object)
    for name in sorted(set(texts[late & is_seed[owners]].tolist())):
        share = len(set(owners[late & is_seed[owners] & (texts == name)].tolist())) / seeds
        if share >= LEAST_DATED_SHARE:
            found.append(Dropped(f"attribute_{name}", Leak.AFTER_CUT_OFF, share))
    return found


def separating(
    matrix: Matrix, is_seed: Flags, person_ids: Ids, layout: Layout, most_auc: float = MOST_AUC
) -> list[Dropped]:
    """Columns whose AUC alone is above the bound, in whichever direction, missing values at either end."""
    matrix, is_seed, person_ids = matrix[:_MOST_ROWS], is_seed[:_MOST_ROWS], person_ids[:_MOST_ROWS]
    half = fold_of(person_ids, 2, 0) == 0
    found: list[Dropped] = []
    for column, name in enumerate(layout.names):
        values = matrix[:, column].astype(np.float64)
        auc = _auc_of_codes(values, is_seed, half) if column in layout.categorical else _auc_of_numbers(values, is_seed)
        if auc >= most_auc:
            found.append(Dropped(name, Leak.SEPARATES_ALONE, auc))
    return found


def telling_tags(batch: pa.RecordBatch, is_seed: Flags, most_auc: float = MOST_AUC) -> list[Dropped]:
    """
    Tags whose presence alone tells seed from pool: they might hide in a bucket, where no column names them.

    The AUC of a flag is half the share of seeds that have it plus half the share of others that have not.
    """
    tags = batch.column("tags")
    owners = np.repeat(np.arange(len(tags)), pc.list_value_length(tags).fill_null(0).to_numpy())
    codes = tags.flatten().dictionary_encode()
    held = np.unique(np.stack([owners, codes.indices.to_numpy().astype(np.int64)]), axis=1)
    width, seeds = len(codes.dictionary), max(1, int(is_seed.sum()))
    of_seeds = np.bincount(held[1][is_seed[held[0]]], minlength=width) / seeds
    of_others = np.bincount(held[1][~is_seed[held[0]]], minlength=width) / max(1, len(is_seed) - seeds)
    auc = 0.5 + np.abs(of_seeds - of_others) / 2.0
    return [
        Dropped(f"tag_{codes.dictionary[int(code)].as_py()}", Leak.SEPARATES_ALONE, float(auc[code]))
        for code in np.flatnonzero(auc >= most_auc)
    ]


def without(layout: Layout, dropped: Sequence[Dropped]) -> tuple[int, ...]:
    """Positions of the kept columns that are not dropped."""
    names = {each.feature for each in dropped}
    return tuple(column for column, name in enumerate(layout.all_names) if name not in names)


def _auc_of_numbers(values: npt.NDArray[np.float64], is_seed: Flags) -> float:
    missing = np.isnan(values)
    found = 0.5
    ends = (-1e30, 1e30) if missing.any() else (0.0,)
    for end in ends:
        auc = float(roc_auc_score(is_seed, np.where(missing, end, values)))
        found = max(found, auc, 1.0 - auc)
    return found


def _auc_of_codes(codes: npt.NDArray[np.float64], is_seed: Flags, half: Flags) -> float:
    """Rates of one half judge the other, so that a rare code does not speak for itself."""
    slots = np.where(np.isnan(codes), 0, codes + 1).astype(np.int64)
    width = int(slots.max(initial=0)) + 1
    seeds = np.bincount(slots[half], weights=is_seed[half], minlength=width)
    rates = (seeds + is_seed.mean()) / (np.bincount(slots[half], minlength=width) + 1.0)
    judged = is_seed[~half]
    if not 0 < int(judged.sum()) < len(judged):
        return 0.5
    auc = float(roc_auc_score(judged, rates[slots[~half]]))
    return max(auc, 1.0 - auc)
