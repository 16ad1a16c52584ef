"""
Synthetic people for look-alike at scale: drawn from Complete Journey's households, seeded, and called synthetic.

A person is a household drawn at random with its demographics, its twelve strongest interests and its counts, each of
which is multiplied by a noise of its own. Who belongs to the seed follows from couponing and four product types, by a
logistic rule with noise; the seeds are a random part of those who belong.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lookalike_journey import AS_OF_US, EARLY, read_period

from bihuan_scoring.lookalike.snapshot import ACTIVITY_COLUMNS, ORDER_COLUMNS, ROW_GROUP_ROWS, SCHEMA, snapshot_rows

FILE_ROWS = 1_000_000
TAGS = 12
_NOISE = 0.5
_AFFINE_TAGS = 4


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Where they are, who belongs, who of those are the seeds, and when the snapshot was taken."""

    paths: list[Path]
    belonging: npt.NDArray[np.int64]
    seed_ids: npt.NDArray[np.int64]
    as_of_us: int


def make_people(folder: Path, journey: Path, count: int, seeds: int, seed: int = 5) -> People:
    """Write `count` people into files of a million, if they are not there; person ids go from 1 to `count`."""
    template = _template(journey)
    affinity = _affinity(template)
    folder.mkdir(parents=True, exist_ok=True)
    paths, belonging = [], []
    for number, first in enumerate(range(0, count, FILE_ROWS)):
        random = np.random.default_rng([seed, number])
        rows = min(FILE_ROWS, count - first)
        drawn = random.integers(0, template.num_rows, rows)
        noise = np.exp(random.normal(0.0, _NOISE, rows)).astype(np.float32)
        chance = 1.0 / (1.0 + np.exp(-(affinity[drawn] + np.log(noise) - 5.0)))
        belonging.append(1 + first + np.flatnonzero(random.random(rows) < chance))
        path = folder / f"people-{number:04d}.parquet"
        if not path.exists():
            _write(path, template, first, drawn, noise, random)
        paths.append(path)
    everybody = np.concatenate(belonging)
    chosen = np.random.default_rng(seed).permutation(len(everybody))[:seeds]
    return People(paths, everybody, np.sort(everybody[chosen]).astype(np.int64), AS_OF_US)


def _template(journey: Path) -> pa.Table:
    persons = read_period(journey, EARLY).persons
    table = pa.Table.from_batches([snapshot_rows(persons)])
    for name in ("tags", "tag_long", "tag_instant"):
        column = pc.list_slice(table.column(name), 0, TAGS).combine_chunks()
        table = table.set_column(
            table.schema.get_field_index(name), SCHEMA.field(name), column.cast(SCHEMA.field(name).type)
        )
    return table


def _affinity(template: pa.Table) -> npt.NDArray[np.float64]:
    """Log-odds of each household to belong, up to a constant."""
    common = pc.value_counts(template.column("tags").combine_chunks().flatten())
    ranked = sorted(zip(common.field("counts").to_pylist(), common.field("values").to_pylist(), strict=True))
    liked = {tag for _, tag in ranked[-4 * _AFFINE_TAGS :: 4]}
    matches = np.array([len(liked & set(tags)) for tags in template.column("tags").to_pylist()], dtype=np.float64)
    return np.log1p(template.column("activity_coupon_long").to_numpy()) * 1.5 + matches


def _write(
    path: Path,
    template: pa.Table,
    first: int,
    drawn: npt.NDArray[np.int64],
    noise: npt.NDArray[np.float32],
    random: np.random.Generator,
) -> None:
    draft = path.with_suffix(".draft")
    with pq.ParquetWriter(draft, SCHEMA, compression="zstd", compression_level=1) as writer:
        for begin in range(0, len(drawn), ROW_GROUP_ROWS):
            rows = template.take(pa.array(drawn[begin : begin + ROW_GROUP_ROWS])).combine_chunks()
            factors = noise[begin : begin + ROW_GROUP_ROWS]
            ids = np.arange(1 + first + begin, 1 + first + begin + len(factors), dtype=np.int64)
            columns = {"person_id": pa.array(ids)}
            for name in (*ACTIVITY_COLUMNS, *ORDER_COLUMNS):
                values = rows.column(name).to_numpy() * factors
                columns[name] = pa.array(values.astype(np.float32), from_pandas=True)
            weights = rows.column("tag_long").combine_chunks()
            own = np.exp(random.normal(0.0, _NOISE, len(weights.flatten()))).astype(np.float32)
            columns["tag_long"] = pa.ListArray.from_arrays(
                weights.offsets, pa.array(weights.flatten().to_numpy() * own)
            )
            arrays = [columns[name] if name in columns else rows.column(name) for name in SCHEMA.names]
            writer.write_table(pa.table(arrays, schema=SCHEMA), row_group_size=ROW_GROUP_ROWS)
    draft.replace(path)
