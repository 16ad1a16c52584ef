"""The lake's dataset `social_edges`: what persons said about their relations, from which communities are found."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bihuan_profile.domain.community import Edge
from bihuan_profile.journal.datasets import EDGES, Kept, reading
from bihuan_profile.journal.history import LakeHistory
from bihuan_shared.lake import Lake

DATASET: Final = EDGES
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
        self._history = LakeHistory(lake)
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

    async def read(self, person_ids: Collection[int]) -> list[Edge]:
        """
        Relations with some id at either end, each once and by time; every file is looked at. Raises Unavailable.

        Those of an erased person are left out, though they may still stand in a file.
        """
        ids = pa.array(sorted(person_ids), pa.uint64())
        wanted = pc.field("person_id").isin(ids) | pc.field("other_id").isin(ids)
        found = await reading(lambda: self._lake.dataset(DATASET, SCHEMA).to_table(filter=wanted).to_pylist())
        # After the rows: whoever was erased before they were read is then known.
        hidden = {one.person_id for one in await self._history.erasures_to_do()}
        edges = {Edge(row["person_id"], row["other_id"], row["strength"], row["edge_time_us"]) for row in found}
        told = [one for one in edges if hidden.isdisjoint((one.person_id, one.other_id))]
        return sorted(told, key=lambda one: (one.time_us, one.person_id, one.other_id, one.strength))

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
    return await reading(lambda: _latest(lake, since_us))


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
