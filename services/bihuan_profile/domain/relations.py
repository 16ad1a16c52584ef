"""The brands that a person has a relation with, as a read tells them."""

from typing import Final, NamedTuple

from bihuan_profile.domain.aipl import AiplStage, aipl
from bihuan_profile.domain.governance import DataClass, Permit
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.relation import RelationStage, held_count, relation
from bihuan_profile.domain.taxonomy import RELATION_PURPOSES

RELATION_CLASSES: Final = frozenset({DataClass.OPERATION, DataClass.TRANSACTION})
"""A relation mixes both, so that it is told only where both may be."""

_NONE: Final = RelationStage.NONE
_CLOSEST_FIRST: Final = (
    RelationStage.LONG,
    RelationStage.STRONG,
    RelationStage.WEAK,
    RelationStage.POTENTIAL,
    RelationStage.DORMANT,
    RelationStage.NONE,
)
_RANKS: Final = (0, *(_CLOSEST_FIRST.index(stage) for stage in RelationStage))
"""By the number of a stage, as a lookup by the stage itself takes longer."""


class RelationView(NamedTuple):
    """A person and a brand: how close, since when at least (microseconds), and how far the person has come."""

    brand: str
    stage: RelationStage
    since_us: int
    aipl: AiplStage


def relations_told(record: Record, permit: Permit, now_us: int) -> tuple[tuple[RelationView, ...], int]:
    """Relations, closest first and then touched last, and how many are withheld; a brand without one is neither."""
    reference_us, bonds = record.reference_us, record.bonds
    if not bonds:
        return (), 0
    if not permit.allows_all(RELATION_CLASSES, RELATION_PURPOSES):
        return (), held_count(bonds.values(), reference_us, now_us)
    told = []
    at_us = max(now_us, reference_us)
    for brand, bond in bonds.items():
        stage, since_us, _ = relation(bond, reference_us, at_us)
        if stage is not _NONE:
            view = RelationView(brand, stage, since_us, aipl(bond, at_us).stage)
            told.append((_RANKS[stage], -bond.touched_us, view))
    # Brands differ, so that the views are never compared beyond those.
    told.sort()
    return tuple([view for _, _, view in told]), 0
