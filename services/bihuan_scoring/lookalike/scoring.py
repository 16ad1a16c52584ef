"""Scoring a partition of a snapshot into a file, whole or not at all; a file that is there is not made again."""

import os
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

from bihuan_scoring.lookalike.features import feature_rows
from bihuan_scoring.lookalike.model import LookAlikeModel
from bihuan_scoring.lookalike.partitions import Partition, batches_of
from bihuan_scoring.lookalike.sampling import Ids, contains
from bihuan_scoring.lookalike.selection import SCORED


def score_file(folder: Path, partition: Partition) -> Path:
    """Where the scores of a partition are."""
    return folder / f"scores-{partition.number:06d}.npy"


def score_partition(partition: Partition, model: LookAlikeModel, seed_ids: Ids, folder: str) -> int:
    """Score everybody of a partition who is no seed; how many these were. Blocks."""
    path = score_file(Path(folder), partition)
    if path.exists():
        return len(np.load(path, mmap_mode="r"))
    parts = []
    for batch in batches_of(partition):
        person_ids = batch.column("person_id").to_numpy()
        rows = np.empty(batch.num_rows, dtype=SCORED)
        rows["person_id"] = person_ids
        rows["score"] = model.scores(feature_rows(batch, model.layout))
        parts.append(rows[~contains(seed_ids, person_ids)])
    scored = np.concatenate(parts)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    with draft.open("wb") as file:
        np.save(file, scored)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return len(scored)


def scoring(model: LookAlikeModel, seed_ids: Ids, folder: Path) -> "partial[int]":
    """`score_partition` with its model, as workers take it."""
    return partial(score_partition, model=model, seed_ids=seed_ids, folder=str(folder))
