"""From a snapshot to the rows that a model is trained on, without the columns that give the seed away."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from bihuan_scoring.lookalike.features import feature_rows
from bihuan_scoring.lookalike.layout import fit_layout
from bihuan_scoring.lookalike.leakage import Dropped, separating, telling_tags, without, younger
from bihuan_scoring.lookalike.order import LEAST_SEEDS, LookAlikeOrder
from bihuan_scoring.lookalike.partitions import Partition, batches_of
from bihuan_scoring.lookalike.sampling import Sample, SamplePlan, draw, hashed
from bihuan_scoring.lookalike.snapshot import SCHEMA
from bihuan_scoring.lookalike.training import Rows
from bihuan_shared.errors import FailedPrecondition


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Rows to train on, what was dropped, and how many seeds and others the snapshot holds."""

    rows: Rows
    dropped: list[Dropped]
    pool_seeds: int
    pool_others: int


def draw_partition(partition: Partition, plan: SamplePlan) -> Sample:
    """The rows that the plan draws from one partition, texts as plain texts. Blocks."""
    drawn = [draw(batch, plan) for batch in batches_of(partition)]
    rows = pa.Table.from_batches([each.batch for each in drawn]).cast(SCHEMA).combine_chunks().to_batches()
    return Sample(
        rows[0] if rows else SCHEMA.empty_table().to_batches()[0],
        np.concatenate([each.is_seed for each in drawn]),
        sum(each.rows for each in drawn),
        sum(each.seeds for each in drawn),
    )


def drawing(plan: SamplePlan) -> "partial[Sample]":
    """`draw_partition` with its plan, as workers take it."""
    return partial(draw_partition, plan=plan)


def gather(samples: list[Sample], order: LookAlikeOrder) -> Gathered:
    """
    Rows in the order of their hash, with the layout that they fit.

    Raises FailedPrecondition for fewer than LEAST_SEEDS seeds in the snapshot, or a snapshot of seeds only.
    """
    seeds, rows = sum(each.seeds for each in samples), sum(each.rows for each in samples)
    if seeds < LEAST_SEEDS:
        raise FailedPrecondition(f"a look-alike audience needs {LEAST_SEEDS} seeds with a profile")
    batch, is_seed = _bounded(samples, order)
    if is_seed.all():
        raise FailedPrecondition("there is nobody besides the seeds")
    definition = order.definition
    dropped = definition.dropped()
    if order.cut_off_us:
        dropped += younger(batch, is_seed, order.cut_off_us)
    telling = telling_tags(batch, is_seed)
    dropped += telling
    layout = fit_layout(
        [batch],
        order.as_of_us,
        order.bounds,
        hidden_tags=definition.tags | {each.feature.removeprefix("tag_") for each in telling},
        hidden_attributes=definition.attributes,
    )
    layout = replace(layout, kept=without(layout, dropped))
    matrix = feature_rows(batch, layout)
    person_ids = batch.column("person_id").to_numpy()
    alone = separating(matrix, is_seed, person_ids, layout)
    dropped += alone
    kept = without(layout, dropped)
    if not kept:
        raise FailedPrecondition("every feature gives the seed away")
    matrix = np.ascontiguousarray(matrix[:, np.isin(layout.columns, kept)])
    return Gathered(Rows(person_ids, matrix, is_seed, replace(layout, kept=kept)), dropped, seeds, rows - seeds)


def _bounded(
    samples: list[Sample], order: LookAlikeOrder
) -> tuple[pa.RecordBatch, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """All drawn rows in the order of their hash; what chance drew above the bounds is left out from the end."""
    table = pa.Table.from_batches([each.batch for each in samples])
    is_seed = np.concatenate([each.is_seed for each in samples])
    by_hash = np.argsort(hashed(table.column("person_id").to_numpy(), order.config.seed), kind="stable")
    is_seed = is_seed[by_hash]
    within = np.where(is_seed, np.cumsum(is_seed) <= order.most_seeds, np.cumsum(~is_seed) <= order.most_others)
    return table.take(pa.array(by_hash[within])).combine_chunks().to_batches()[0], is_seed[within]
