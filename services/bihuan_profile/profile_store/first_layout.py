"""
The first layout of a stored record, which is read and not written any more.

A MessagePack array. Weights are packed doubles behind the list of their keys, those with an instantaneous weight first.
Facts learnt at the same instant share its number.
"""

import struct
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import Weights
from bihuan_profile.domain.influence import NO_INFLUENCE, Influence
from bihuan_profile.domain.record import Count, Fact, Orders, Record, Spend
from bihuan_profile.domain.wardrobe import Kind, Owned

_Key = TypeVar("_Key", str, int)


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


_decoder: Final = msgspec.msgpack.Decoder(_Blob)


def unpack(data: memoryview) -> Record:
    """The record that `data` holds. Raises MsgspecError, struct.error and ValueError where it holds none."""
    blob = _decoder.decode(data)
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


def _bond(one: _Bond, reference_us: int) -> Bond:
    seen_us, first_us, last_us, first_order_us, last_order_us = (
        0 if age_us is None else reference_us - age_us
        for age_us in (one.seen, one.first, one.last, one.first_order, one.last_order)
    )
    return Bond(seen_us, first_us, last_us, one.dealings, one.orders, first_order_us, last_order_us, one.warmth)


def _unpack(keys: Sequence[_Key], active: int, weights: bytes) -> Weights[_Key]:
    values = struct.unpack(f"<{len(keys) + active}d", weights)
    return Weights(dict(zip(keys, values, strict=False)), dict(zip(keys[:active], values[len(keys) :], strict=True)))
