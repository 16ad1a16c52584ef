"""
Attributes that rules make at every read, so that they are always current; the taxonomy says what they may be used for.

A tag of the taxonomy names one class of data. A rule that looks at others as well needs all of them allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain import community
from bihuan_profile.domain.aarrr import aarrr, is_acquired
from bihuan_profile.domain.governance import DataClass, Permit
from bihuan_profile.domain.influence import influence_tier
from bihuan_profile.domain.ladder import ladder
from bihuan_profile.domain.record import Fact, FactValue, Record
from bihuan_profile.domain.taxonomy import Tag, Taxonomy

KEPT: Final = frozenset({community.TAG})
"""Attributes that a job of the platform makes and keeps in the record: what stands there is the job's."""

Derivation = tuple[FactValue, int]
"""A value, and when what it rests on last happened, in microseconds."""


@dataclass(frozen=True, slots=True)
class DerivedRule:
    """
    How an attribute is made.

    `applies` says cheaply whether `derive` gives a value, so that what may not be told is counted without being made.
    """

    name: str
    classes: frozenset[DataClass]
    applies: Callable[[Record], bool]
    derive: Callable[[Record, int], Derivation | None]


def derived_attributes(
    record: Record, permit: Permit, now_us: int, taxonomy: Taxonomy
) -> tuple[list[tuple[Tag, Fact]], int]:
    """What rules make of a record and `permit` lets out, and how many attributes are withheld."""
    told: list[tuple[Tag, Fact]] = []
    withheld = 0
    for rule in DERIVED:
        if not rule.applies(record):
            continue
        tag = taxonomy.get(rule.name)
        if tag is None or not permit.allows_all(rule.classes, tag.purposes):
            withheld += 1
            continue
        found = rule.derive(record, now_us)
        if found is not None:
            told.append((tag, Fact(*found)))
    return told, withheld


def _ladder(record: Record, now_us: int) -> Derivation | None:
    found = ladder(record, now_us)
    return None if found is None else (found.rung, found.last_us)


def _aarrr(record: Record, now_us: int) -> Derivation | None:
    found = aarrr(record, now_us)
    return None if found is None else (found.stage, found.last_us)


def _influence(record: Record, now_us: int) -> Derivation | None:
    found = influence_tier(record.influence, record.reference_us, now_us)
    return None if found is None else (found.tier, record.influence.last_us)


DERIVED: Final = (
    DerivedRule("ladder", frozenset({DataClass.OPERATION}), lambda record: record.first_operation_us > 0, _ladder),
    DerivedRule("aarrr_stage", frozenset({DataClass.OPERATION, DataClass.TRANSACTION}), is_acquired, _aarrr),
    DerivedRule(
        "influence_tier", frozenset({DataClass.SOCIAL}), lambda record: record.influence.last_us > 0, _influence
    ),
)
"""Every rule, in the order in which they are told."""
