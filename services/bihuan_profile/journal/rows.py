"""Columns of profile's datasets in the lake, and what stands in them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import pyarrow as pa

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item
from bihuan_profile.domain.record import Fact, FactValue
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_shared.person_change import PersonPart, PersonsChange

_ITEM: Final = pa.struct(
    [("category", pa.string()), ("brand", pa.string()), ("size", pa.string()), ("quantity", pa.int64())]
)
BEHAVIOUR: Final = pa.schema(
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
ATTRIBUTES: Final = pa.schema(
    [
        ("person_id", pa.uint64()),
        ("sighting_id", pa.uint64()),
        ("name", pa.string()),
        ("text", pa.string()),
        ("number", pa.float64()),
        ("flag", pa.bool_()),
        ("time_us", pa.int64()),
        ("set_time_us", pa.int64()),
        ("origin", pa.string()),
    ]
)
CHANGES: Final = pa.schema(
    [
        ("change_id", pa.uint64()),
        ("change_time_us", pa.int64()),
        ("before_ids", pa.list_(pa.uint64())),
        ("parts", pa.list_(pa.struct([("person_id", pa.uint64()), ("sighting_ids", pa.list_(pa.uint64()))]))),
    ]
)
ERASURES: Final = pa.schema([("person_id", pa.uint64()), ("erase_time_us", pa.int64())])
OPEN_ERASURES: Final = pa.schema([*ERASURES, ("kept_sighting_ids", pa.list_(pa.uint64()))])


def event_table(events: Sequence[Event]) -> pa.Table:
    """A row an event."""
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
    return _table(columns, BEHAVIOUR)


def event_of(row: Mapping[str, object]) -> Event:
    """The event of a row; what older files lack is empty."""
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


def fact_table(facts: Sequence[ToldFact]) -> pa.Table:
    """A row a fact, its value in the column of its type."""
    values = [told.fact.value for told in facts]
    columns: list[list[object]] = [
        [told.person_id for told in facts],
        [told.fact.sighting_id for told in facts],
        [told.name for told in facts],
        [value if isinstance(value, str) else None for value in values],
        [None if isinstance(value, str | bool) else float(value) for value in values],
        [value if isinstance(value, bool) else None for value in values],
        [told.fact.time_us for told in facts],
        [told.set_us for told in facts],
        [told.fact.origin for told in facts],
    ]
    return _table(columns, ATTRIBUTES)


def fact_of(row: Mapping[str, object]) -> ToldFact:
    """The fact of a row."""
    value = next(row[name] for name in ("text", "flag", "number") if row[name] is not None)
    fact = Fact(_value(value), _integer(row["time_us"]), _integer(row["sighting_id"]), str(row["origin"] or ""))
    return ToldFact(_integer(row["person_id"]), str(row["name"]), fact, _integer(row["set_time_us"]))


def change_table(changes: Sequence[PersonsChange]) -> pa.Table:
    """A row a change of who is who."""
    columns: list[list[object]] = [
        [change.change_id for change in changes],
        [change.change_time_us for change in changes],
        [change.before_ids for change in changes],
        [
            [{"person_id": part.person_id, "sighting_ids": sorted(part.sighting_ids)} for part in change.parts]
            for change in changes
        ],
    ]
    return _table(columns, CHANGES)


def change_of(row: Mapping[str, object]) -> PersonsChange:
    """The change of a row."""
    before, parts = row["before_ids"], row["parts"]
    assert isinstance(before, list)
    assert isinstance(parts, list)
    return PersonsChange(
        _integer(row["change_id"]),
        _integer(row["change_time_us"]),
        tuple(before),
        tuple(PersonPart(part["person_id"], frozenset(part["sighting_ids"])) for part in parts),
    )


def erasure_table(erasures: Sequence[Erasure], schema: pa.Schema) -> pa.Table:
    """A row an id, with the sightings that were others' only where `schema` has them."""
    columns: list[list[object]] = [
        [one.person_id for one in erasures],
        [one.time_us for one in erasures],
        [sorted(one.kept_sightings) for one in erasures],
    ]
    return _table(columns[: len(schema)], schema)


def erasure_of(row: Mapping[str, object]) -> Erasure:
    """The erasure of a row of either dataset."""
    kept = row.get("kept_sighting_ids") or ()
    assert isinstance(kept, list | tuple)
    return Erasure(_integer(row["person_id"]), _integer(row["erase_time_us"]), frozenset(kept))


def _table(columns: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


def _value(value: object) -> FactValue:
    assert isinstance(value, str | float | bool)
    return value
