"""The lake's dataset `behaviour`: every event that was taken in, from which the profile of a part is made anew."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item
from bihuan_shared.errors import Unavailable
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.lake import Lake

DATASET: Final = "behaviour"
MAX_ROWS: Final = 10_000
MAX_QUEUE: Final = 50_000
_ITEM: Final = pa.struct(
    [("category", pa.string()), ("brand", pa.string()), ("size", pa.string()), ("quantity", pa.int64())]
)
_SCHEMA: Final = pa.schema(
    [
        ("person_id", pa.uint64()),
        ("sighting_id", pa.uint64()),
        ("event_key", pa.string()),
        ("behaviour", pa.int16()),
        ("event_time_us", pa.int64()),
        ("tags", pa.list_(pa.string())),
        ("currency", pa.string()),
        ("amount_micros", pa.int64()),
        ("items", pa.list_(_ITEM)),
        ("echo", pa.bool_()),
        ("origin", pa.string()),
    ]
)


class LakeJournal:
    """
    Keeps events in files; what waits while one is written goes into the next together.

    A file is named by what is in it, so that the same batch replaces itself. An event that was tried again in another
    batch may stand in two files: readers keep one row a person and key.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._group: GroupCommit[Event, None] = GroupCommit(self._commit, max_items=MAX_ROWS, max_queue=MAX_QUEUE)

    async def write(self, events: Sequence[Event]) -> None:
        """Keep events, durably on return. Raises Unavailable, and ResourceExhausted where too many wait."""
        for start in range(0, len(events), MAX_ROWS):
            await self._group.submit(events[start : start + MAX_ROWS])

    async def read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        """Events under one of some persons or sightings, in no order; every file is looked at. Raises Unavailable."""
        try:
            return await asyncio.to_thread(self._read, person_ids, sighting_ids)
        except OSError as error:
            raise Unavailable("the lake cannot be read") from error

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._group.close()

    async def _commit(self, events: Sequence[Event]) -> Sequence[None]:
        name = sha256("\n".join([f"{event.person_id}\0{event.key}" for event in events]).encode()).hexdigest()[:32]
        table = await asyncio.to_thread(_table, events)
        try:
            await self._lake.write(DATASET, name, table, time_us=max(event.time_us for event in events))
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error
        return [None] * len(events)

    def _read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        persons, sightings = (pa.array(sorted(ids), pa.uint64()) for ids in (person_ids, sighting_ids))
        wanted = pc.field("person_id").isin(persons) | pc.field("sighting_id").isin(sightings)
        found = self._lake.dataset(DATASET, _SCHEMA).to_table(columns=_SCHEMA.names, filter=wanted)
        return [_event(row) for row in found.to_pylist()]


def _table(events: Sequence[Event]) -> pa.Table:
    # By column: a dict a row costs more than writing the file.
    columns: list[list[object]] = [
        [event.person_id for event in events],
        [event.sighting_id for event in events],
        [event.key for event in events],
        [int(event.behaviour) for event in events],
        [event.time_us for event in events],
        [event.tags for event in events],
        [event.amount.currency if event.amount is not None else None for event in events],
        [event.amount.micros if event.amount is not None else None for event in events],
        [[asdict(item) for item in event.items] for event in events],
        [event.echo for event in events],
        [event.origin for event in events],
    ]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


def _event(row: dict[str, object]) -> Event:
    currency, micros, tags, items = row["currency"], row["amount_micros"], row["tags"], row["items"] or []
    assert isinstance(tags, list)
    assert isinstance(items, list)
    return Event(
        person_id=_integer(row["person_id"]),
        key=str(row["event_key"]),
        behaviour=Behaviour(_integer(row["behaviour"])),
        time_us=_integer(row["event_time_us"]),
        tags=tuple(tags),
        amount=Amount(str(currency), _integer(micros)) if currency is not None else None,
        sighting_id=_integer(row["sighting_id"]),
        items=tuple(Item(**item) for item in items),
        echo=bool(row["echo"]),
        origin=str(row["origin"] or ""),
    )


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value
