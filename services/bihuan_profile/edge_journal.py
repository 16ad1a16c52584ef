"""The lake's dataset `social_edges`: what persons said about their relations, from which communities are found."""

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bihuan_profile.domain.community import Edge
from bihuan_shared.errors import Unavailable
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.lake import Lake

DATASET: Final = "social_edges"
MAX_ROWS: Final = 10_000
MAX_QUEUE: Final = 50_000
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
        self._lake = lake
        self._group: GroupCommit[Edge, None] = GroupCommit(self._commit, max_items=MAX_ROWS, max_queue=MAX_QUEUE)

    async def write(self, edges: Sequence[Edge]) -> None:
        """Keep relations, durably on return. Raises Unavailable, and ResourceExhausted where too many wait."""
        if edges:
            await self._group.submit(edges)

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._group.close()

    async def _commit(self, edges: Sequence[Edge]) -> Sequence[None]:
        told = [f"{one.person_id} {one.other_id} {one.strength!r} {one.time_us}" for one in edges]
        name = sha256("\n".join(told).encode()).hexdigest()[:32]
        columns: list[list[object]] = [
            [one.person_id for one in edges],
            [one.other_id for one in edges],
            [one.strength for one in edges],
            [one.time_us for one in edges],
        ]
        table = pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
        try:
            await self._lake.write(DATASET, name, table, time_us=max(one.time_us for one in edges))
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error
        return [None] * len(edges)


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
