"""
The stored form of a record: 5 bytes of header and a MessagePack array.

Header: one byte of format (`FORMAT`, `MOVED` with the id of the survivor in eight bytes and perhaps a record after it,
or `ERASED` with nothing after it), four of revision (big-endian, never 0), so
that a script can compare the revision without decoding anything. Weights are packed doubles behind the list of their
keys, those with an instantaneous weight first. Facts learnt at the same instant share its number.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Final, TypeVar

import msgspec

from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import Weights
from bihuan_profile.domain.influence import NO_INFLUENCE, Influence
from bihuan_profile.domain.record import EMPTY, Count, Fact, Orders, Record, Spend
from bihuan_profile.domain.wardrobe import Kind, Owned
from bihuan_profile.use_cases.ports import Held

FORMAT: Final = 1
ERASED: Final = 0
MOVED: Final = 2
_SURVIVOR: Final = struct.Struct(">Q")
HEADER: Final = struct.Struct(">BI")
MAX_REVISION: Final = 2**32 - 1

_Key = TypeVar("_Key", str, int)


class DamagedBlobError(Exception):
    """The bytes are no record of a format that this version reads."""


class _Interests(msgspec.Struct, array_like=True):
    tags: list[str]
    active: int
    weights: bytes


class _Activity(msgspec.Struct, array_like=True):
    behaviours: list[int]
    active: int
    weights: bytes
    counts: list[tuple[int, int]]


class _Bond(msgspec.Struct, array_like=True):
    """Times are microseconds before the record's reference instant; None where there is none."""

    brand: str
    seen: int | None
    first: int | None
    last: int | None
    dealings: int
    orders: int
    first_order: int | None
    last_order: int | None
    warmth: float


class _Owned(msgspec.Struct, array_like=True):
    category: str
    brand: str
    size: str
    quantity: int
    purchases: int
    first_us: int
    last_us: int


class _Later(msgspec.Struct, array_like=True, omit_defaults=True):
    """What came with the second layout; each part may be missing."""

    first_order_us: int = 0
    bonds: list[_Bond] = msgspec.field(default_factory=list)
    wardrobe: list[_Owned] = msgspec.field(default_factory=list)
    influence: tuple[int, int, float, float, int] | None = None
    fact_origins: dict[str, str] = msgspec.field(default_factory=dict)


class _Blob(msgspec.Struct, array_like=True):
    reference_us: int
    first_operation_us: int
    facts: list[tuple[int, dict[str, str | float | bool]]]
    operation: _Interests
    transaction: _Interests
    activity: _Activity
    last_order_us: int
    orders: int
    monetary: dict[str, tuple[int, float]]
    # What came later has a default, so that older blobs are still read.
    former_ids: tuple[int, ...] = ()
    moved_sightings: dict[int, int] = msgspec.field(default_factory=dict)
    fact_sightings: dict[str, int] = msgspec.field(default_factory=dict)
    later: _Later | None = None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Blob)


def next_revision(revision: int) -> int:
    """The revision after `revision`; it wraps and skips 0, which stands for nothing held."""
    return revision % MAX_REVISION + 1


def revision_bytes(revision: int) -> bytes:
    """Bytes 1 to 4 of what holds `revision`; none for 0, which stands for nothing held."""
    return HEADER.pack(FORMAT, revision)[1:] if revision else b""


def encode(record: Record | None, revision: int, moved_to: int = 0) -> bytes:
    """The stored form of a record, of an erased person (None), or of one who lives on under another id."""
    if record is None:
        return HEADER.pack(ERASED, revision)
    if moved_to:
        rest = b"" if record == EMPTY else _encoded(record)
        return HEADER.pack(MOVED, revision) + _SURVIVOR.pack(moved_to) + rest
    return HEADER.pack(FORMAT, revision) + _encoded(record)


def _encoded(record: Record) -> bytes:
    behaviours, active, weights = _pack(record.activity)
    counts = record.counts
    blob = _Blob(
        reference_us=record.reference_us,
        first_operation_us=record.first_operation_us,
        facts=_grouped(record.facts),
        operation=_Interests(*_pack(record.operation_interests)),
        transaction=_Interests(*_pack(record.transaction_interests)),
        activity=_Activity(
            behaviours,
            active,
            weights,
            [(counts[key].total, record.reference_us - counts[key].last_time_us) for key in behaviours],
        ),
        last_order_us=record.orders.last_time_us,
        orders=record.orders.frequency,
        monetary={code: (spend.micros, spend.decayed_micros) for code, spend in record.orders.monetary.items()},
        former_ids=record.former_ids,
        moved_sightings=dict(record.moved_sightings),
        fact_sightings={name: fact.sighting_id for name, fact in record.facts.items() if fact.sighting_id},
        later=_later(record),
    )
    return _encoder.encode(blob)


def decode(data: bytes | None) -> Held:
    """What `data` holds; None stands for nothing. Raises DamagedBlobError."""
    if data is None:
        return Held()
    if len(data) < HEADER.size:
        raise DamagedBlobError("too short")
    form, revision = HEADER.unpack_from(data)
    if form == ERASED:
        return Held(revision=revision, erased=True)
    if form not in (FORMAT, MOVED):
        raise DamagedBlobError(f"format {form}")
    try:
        start, moved_to = HEADER.size, 0
        if form == MOVED:
            (moved_to,) = _SURVIVOR.unpack_from(data, start)
            start += _SURVIVOR.size
        record = _record(_decoder.decode(memoryview(data)[start:])) if len(data) > start or not moved_to else EMPTY
        return Held(record, revision, moved_to=moved_to)
    except (msgspec.MsgspecError, struct.error, ValueError) as error:
        raise DamagedBlobError(str(error)) from error


def _record(blob: _Blob) -> Record:
    activity = blob.activity
    later = blob.later or _Later()
    return Record(
        reference_us=blob.reference_us,
        first_operation_us=blob.first_operation_us,
        facts={
            name: Fact(value, time_us, blob.fact_sightings.get(name, 0), later.fact_origins.get(name, ""))
            for time_us, facts in blob.facts
            for name, value in facts.items()
        },
        operation_interests=_unpack(blob.operation.tags, blob.operation.active, blob.operation.weights),
        transaction_interests=_unpack(blob.transaction.tags, blob.transaction.active, blob.transaction.weights),
        activity=_unpack(activity.behaviours, activity.active, activity.weights),
        counts={
            behaviour: Count(total, blob.reference_us - age_us)
            for behaviour, (total, age_us) in zip(activity.behaviours, activity.counts, strict=True)
        },
        orders=Orders(
            blob.last_order_us,
            blob.orders,
            {code: Spend(micros, decayed) for code, (micros, decayed) in blob.monetary.items()},
            later.first_order_us,
        ),
        former_ids=blob.former_ids,
        moved_sightings=blob.moved_sightings,
        bonds={one.brand: _bond(one, blob.reference_us) for one in later.bonds},
        wardrobe={
            Kind(one.category, one.brand, one.size): Owned(one.quantity, one.purchases, one.first_us, one.last_us)
            for one in later.wardrobe
        },
        influence=Influence(*later.influence) if later.influence else NO_INFLUENCE,
    )


def _later(record: Record) -> _Later:
    influence = record.influence
    return _Later(
        record.orders.first_time_us,
        [_packed_bond(brand, bond, record.reference_us) for brand, bond in record.bonds.items()],
        [
            _Owned(*kind, held.quantity, held.purchases, held.first_us, held.last_us)
            for kind, held in record.wardrobe.items()
        ],
        None if influence == NO_INFLUENCE else astuple(influence),
        {name: fact.origin for name, fact in record.facts.items() if fact.origin},
    )


def _packed_bond(brand: str, bond: Bond, reference_us: int) -> _Bond:
    seen, first, last, first_order, last_order = (
        reference_us - time_us if time_us else None
        for time_us in (bond.seen_us, bond.first_us, bond.last_us, bond.first_order_us, bond.last_order_us)
    )
    return _Bond(brand, seen, first, last, bond.dealings, bond.orders, first_order, last_order, bond.warmth)


def _bond(one: _Bond, reference_us: int) -> Bond:
    seen_us, first_us, last_us, first_order_us, last_order_us = (
        0 if age_us is None else reference_us - age_us
        for age_us in (one.seen, one.first, one.last, one.first_order, one.last_order)
    )
    return Bond(seen_us, first_us, last_us, one.dealings, one.orders, first_order_us, last_order_us, one.warmth)


def _grouped(facts: Mapping[str, Fact]) -> list[tuple[int, dict[str, str | float | bool]]]:
    by_time: dict[int, dict[str, str | float | bool]] = {}
    for name, fact in facts.items():
        by_time.setdefault(fact.time_us, {})[name] = fact.value
    return list(by_time.items())


def _pack(weights: Weights[_Key]) -> tuple[list[_Key], int, bytes]:
    long: Mapping[_Key, float] = weights.long
    instant: Mapping[_Key, float] = weights.instant
    keys: list[_Key] = list(instant)
    keys += [key for key in long if key not in instant]
    values = [*map(long.__getitem__, keys), *instant.values()]
    return keys, len(instant), struct.pack(f"<{len(values)}d", *values)


def _unpack(keys: Sequence[_Key], active: int, weights: bytes) -> Weights[_Key]:
    values = struct.unpack(f"<{len(keys) + active}d", weights)
    return Weights(dict(zip(keys, values, strict=False)), dict(zip(keys[:active], values[len(keys) :], strict=True)))
