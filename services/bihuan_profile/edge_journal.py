"""The lake's dataset `social_edges`: what persons said about their relations, from which communities are found."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bihuan_profile.domain.community import Edge
from bihuan_profile.journal.datasets import Kept
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake

DATASET: Final = "social_edges"
SCHEMA: Final = pa.schema(
    [("person_id", pa.uint64()), ("other_id", pa.uint64()), ("strength", pa.float64()), ("edge_time_us", pa.int64())]
)
# The latest word of each person about each other one counts; at one instant the stronger.
_LATEST: Final = """
    SELECT person_id, other_id, arg_max(strength, (edge_time_us, strength)) AS strength,
           max(edge_time_us) AS edge_time_us
    FROM edges GROUP BY person_id, other_id ORDER BY person_id, other_id
"""


class LakeEdges:
    """Keeps relations in files; what waits while one is written goes into the next together."""

    def __init__(self, lake: Lake) -> None:
        self._edges: Kept[Edge] = Kept(
            lake,
            DATASET,
            _table,
            lambda one: f"{one.person_id} {one.other_id} {one.strength!r} {one.time_us}",
            lambda one: one.time_us,
        )

    async def write(self, edges: Sequence[Edge]) -> None:
        """Keep relations, durably on return. Raises Unavailable, and ResourceExhausted where too many wait."""
        await self._edges.write(edges)

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._edges.close()


def _table(edges: Sequence[Edge]) -> pa.Table:
    columns: list[list[object]] = [
        [one.person_id for one in edges],
        [one.other_id for one in edges],
        [one.strength for one in edges],
        [one.time_us for one in edges],
    ]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


Ids = npt.NDArray[np.uint64]
Strengths = npt.NDArray[np.float64]


async def latest_edges(lake: Lake, since_us: int) -> tuple[Ids, Ids, Strengths]:
    """
    The latest word of each person about each other: who, about whom, how strong.

    Strength is 0 where it was taken back or is older than `since_us`. Raises Unavailable.
    """
    try:
        return await asyncio.to_thread(_latest, lake, since_us)
    except (OSError, duckdb.IOException) as error:
        raise Unavailable("the lake cannot be read") from error


def _latest(lake: Lake, since_us: int) -> tuple[Ids, Ids, Strengths]:
    with duckdb.connect() as connection:
        edges = lake.dataset(DATASET, SCHEMA)
        connection.register("edges", edges)
        found = connection.execute(_LATEST).fetchnumpy()
    strengths = np.where(found["edge_time_us"] >= since_us, found["strength"], 0.0)
    return found["person_id"].astype(np.uint64), found["other_id"].astype(np.uint64), strengths


def in_batches(ids: Ids, size: int) -> Iterator[list[int]]:
    """Ids as plain integers, `size` at a time."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size].tolist()
