"""
The second layout of a stored record: one MessagePack array, what is empty at its end left out.

Small for a person of whom little is known, which most are, and exact:

- All instants stand once, as microseconds before the reference instant in as few bytes each as the farthest one needs;
  everything else points to them by number. 0 is the reference instant itself, -1 stands for none.
- All weights stand together as doubles, in the order in which the parts are read.
- Well-known names and beginnings of tags are written short (see `words`); a tag of both interest sources stands once.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import Weights
from bihuan_profile.domain.influence import NO_INFLUENCE, Influence
from bihuan_profile.domain.record import Count, Fact, FactValue, Orders, Record, Spend
from bihuan_profile.domain.wardrobe import Kind, Owned
from bihuan_profile.profile_store.words import full_name, full_tag, short_name, short_tag

NONE: Final = -1
_Key = TypeVar("_Key")


class _FactGroup(msgspec.Struct, array_like=True):
    """Facts of one instant, sighting and origin."""

    time: int
    facts: dict[str | int, str | float | bool]
    sighting_id: int = 0
    origin: str = ""


class _Layout(msgspec.Struct, array_like=True):
    """
    `activity` holds a behaviour, its total and its last time, three numbers each; `orders` their number, the last and
    the first; `bonds` a brand with seen, first, last, dealings, orders, first order, last order; `wardrobe` a category,
    brand and size with quantity, purchases, first, last; `influence` reach, resonance, last.
    """

    reference_us: int
    ages: bytes = b""
    weights: bytes = b""
    tags: list[str] = []
    active: int = 0
    activity: list[int] = []
    active_behaviours: int = 0
    facts: list[_FactGroup] = []
    first_operation: int = NONE
    bought_tags: list[str | int] = []
    active_bought: int = 0
    orders: list[int] = []
    monetary: dict[str, int] = {}
    wardrobe: list[tuple[str, str, str, int, int, int, int]] = []
    bonds: list[tuple[str, int, int, int, int, int, int, int]] = []
    influence: tuple[int, int, int] | None = None
    former_ids: tuple[int, ...] = ()
    moved_sightings: dict[int, int] = {}


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Layout)
_NO_WEIGHTS: Final[Weights[Any]] = Weights()
_NO_ORDERS: Final = Orders()
_DEFAULTS: Final[tuple[object, ...]] = (None, b"", b"", [], 0, [], 0, [], NONE, [], 0, [], {}, [], [], None, (), {})
"""Of `_Layout`, by place."""


class _Instants:
    """The instants of one record, each once."""

    __slots__ = ("_numbers", "_reference_us")

    def __init__(self, reference_us: int) -> None:
        self._reference_us = reference_us
        self._numbers = {reference_us: 0}

    def number(self, time_us: int) -> int:
        return self._numbers.setdefault(time_us, len(self._numbers)) if time_us else NONE

    def packed(self) -> bytes:
        ages_us = [self._reference_us - time_us for time_us in self._numbers][1:]
        if not ages_us:
            return b""
        width = max(age_us.bit_length() for age_us in ages_us) // 8 + 1
        return bytes((width,)) + b"".join([age_us.to_bytes(width, "big", signed=True) for age_us in ages_us])


def _instants(reference_us: int, packed: bytes) -> list[int]:
    """Instants by their numbers; the last one is that of the number -1."""
    instants = [reference_us]
    if packed:
        width = packed[0]
        instants += [
            reference_us - int.from_bytes(packed[start : start + width], "big", signed=True)
            for start in range(1, len(packed), width)
        ]
    instants.append(0)
    return instants


class _Doubles:
    """The weights of one record, taken from the front; IndexError or ValueError where there are too few."""

    __slots__ = ("_at", "_values")

    def __init__(self, packed: bytes) -> None:
        self._values = struct.unpack(f"<{len(packed) // 8}d", packed)
        self._at = 0

    def weights(self, keys: Sequence[_Key], active: int) -> Weights[_Key]:
        if not keys:
            return _NO_WEIGHTS
        middle = self._at + len(keys)
        # Lengths are checked: a damaged record must not read as one of which less is known.
        long = dict(zip(keys, self._values[self._at : middle], strict=True))
        self._at = middle + active
        return Weights(long, dict(zip(keys[:active], self._values[middle : self._at], strict=True)) if active else {})

    def one(self) -> float:
        self._at += 1
        value: float = self._values[self._at - 1]
        return value


def pack(record: Record) -> bytes:
    """The bytes of a record."""
    times = _Instants(record.reference_us)
    doubles: list[float] = []
    tags, active = _put(record.operation_interests, doubles)
    bought, active_bought = _put(record.transaction_interests, doubles)
    behaviours, active_behaviours = _put(record.activity, doubles)
    orders = record.orders
    doubles += [spend.decayed_micros for spend in orders.monetary.values()]
    doubles += [bond.warmth for bond in record.bonds.values()]
    influence = record.influence
    if influence != NO_INFLUENCE:
        doubles += (influence.reach_decayed, influence.resonance_decayed)
    places = {tag: place for place, tag in enumerate(tags)} if bought else {}
    parts: list[object] = [
        record.reference_us,
        b"",
        struct.pack(f"<{len(doubles)}d", *doubles),
        [short_tag(tag) for tag in tags],
        active,
        _packed_activity(behaviours, record.counts, times),
        active_behaviours,
        _grouped(record.facts, times),
        times.number(record.first_operation_us),
        [places.get(tag, short_tag(tag)) for tag in bought],
        active_bought,
        _packed_orders(orders, times),
        {code: spend.micros for code, spend in orders.monetary.items()},
        _packed_wardrobe(record.wardrobe, times),
        _packed_bonds(record.bonds, times),
        None if influence == NO_INFLUENCE else (influence.reach, influence.resonance, times.number(influence.last_us)),
        record.former_ids,
        dict(record.moved_sightings),
    ]
    parts[1] = times.packed()
    while parts[-1] == _DEFAULTS[len(parts) - 1]:
        parts.pop()
    return _encoder.encode(parts)


def unpack(data: memoryview) -> Record:
    """
    The record that `data` holds.

    Raises MsgspecError, struct.error, ValueError, IndexError or KeyError where it holds none.
    """
    layout = _decoder.decode(data)
    times = _instants(layout.reference_us, layout.ages)
    doubles = _Doubles(layout.weights)
    tags = [full_tag(tag) for tag in layout.tags]
    operation = doubles.weights(tags, layout.active)
    bought = [tags[tag] if isinstance(tag, int) else full_tag(tag) for tag in layout.bought_tags]
    transaction = doubles.weights(bought, layout.active_bought)
    flat = layout.activity
    activity = doubles.weights(flat[::3], layout.active_behaviours)
    monetary = {code: Spend(micros, doubles.one()) for code, micros in layout.monetary.items()}
    bonds = {
        brand: Bond(times[seen], times[one], times[two], dealings, orders, times[three], times[four], doubles.one())
        for brand, seen, one, two, dealings, orders, three, four in layout.bonds
    }
    return Record(
        reference_us=layout.reference_us,
        first_operation_us=times[layout.first_operation],
        facts=_facts(layout.facts, times),
        operation_interests=operation,
        transaction_interests=transaction,
        activity=activity,
        counts={
            behaviour: Count(total, times[at])
            for behaviour, total, at in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        },
        orders=_orders(layout.orders, monetary, times),
        former_ids=layout.former_ids,
        moved_sightings=layout.moved_sightings,
        bonds=bonds,
        wardrobe={
            Kind(category, brand, size): Owned(quantity, purchases, times[one], times[two])
            for category, brand, size, quantity, purchases, one, two in layout.wardrobe
        },
        influence=_influence(layout.influence, times, doubles),
    )


def _put(weights: Weights[_Key], doubles: list[float]) -> tuple[list[_Key], int]:
    """Append the weights; their keys, and how many of these have an instantaneous weight, which come first."""
    long, instant = weights.long, weights.instant
    keys = list(instant)
    keys += [key for key in long if key not in instant]
    doubles += map(long.__getitem__, keys)
    doubles += instant.values()
    return keys, len(instant)


def _packed_activity(behaviours: Sequence[int], counts: Mapping[int, Count], times: _Instants) -> list[int]:
    flat: list[int] = []
    for behaviour in behaviours:
        count = counts[behaviour]
        flat += (behaviour, count.total, times.number(count.last_time_us))
    return flat


def _grouped(facts: Mapping[str, Fact], times: _Instants) -> list[list[object]]:
    groups: dict[tuple[int, int, str], dict[str | int, FactValue]] = {}
    for name, fact in facts.items():
        groups.setdefault((fact.time_us, fact.sighting_id, fact.origin), {})[short_name(name)] = fact.value
    packed: list[list[object]] = []
    for (time_us, sighting_id, origin), values in groups.items():
        rest: list[object] = [sighting_id, origin] if origin else [sighting_id] if sighting_id else []
        packed.append([times.number(time_us), values, *rest])
    return packed


def _facts(groups: Sequence[_FactGroup], times: Sequence[int]) -> dict[str, Fact]:
    return {
        full_name(name): Fact(value, times[group.time], group.sighting_id, group.origin)
        for group in groups
        for name, value in group.facts.items()
    }


def _packed_orders(orders: Orders, times: _Instants) -> list[int]:
    if orders.frequency or orders.last_time_us or orders.first_time_us:
        return [orders.frequency, times.number(orders.last_time_us), times.number(orders.first_time_us)]
    return []


def _orders(packed: Sequence[int], monetary: Mapping[str, Spend], times: Sequence[int]) -> Orders:
    if not packed and not monetary:
        return _NO_ORDERS
    frequency, last, first = packed or (0, NONE, NONE)
    return Orders(times[last], frequency, monetary, times[first])


def _packed_wardrobe(wardrobe: Mapping[Kind, Owned], times: _Instants) -> list[tuple[object, ...]]:
    return [
        (*kind, held.quantity, held.purchases, times.number(held.first_us), times.number(held.last_us))
        for kind, held in wardrobe.items()
    ]


def _packed_bonds(bonds: Mapping[str, Bond], times: _Instants) -> list[tuple[object, ...]]:
    number = times.number
    return [
        (
            brand,
            *(number(time_us) for time_us in (one.seen_us, one.first_us, one.last_us)),
            one.dealings,
            one.orders,
            number(one.first_order_us),
            number(one.last_order_us),
        )
        for brand, one in bonds.items()
    ]


def _influence(packed: tuple[int, int, int] | None, times: Sequence[int], doubles: _Doubles) -> Influence:
    if packed is None:
        return NO_INFLUENCE
    reach, resonance, last = packed
    return Influence(reach, resonance, doubles.one(), doubles.one(), times[last])
