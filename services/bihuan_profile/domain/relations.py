"""The brands that a person has a relation with, as a read tells them."""

from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.aipl import AiplStage, aipl
from bihuan_profile.domain.governance import DataClass, Permit
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.relation import RelationStage, is_held, relation
from bihuan_profile.domain.taxonomy import RELATION_PURPOSES

RELATION_CLASSES: Final = frozenset({DataClass.OPERATION, DataClass.TRANSACTION})
"""A relation mixes both, so that it is told only where both may be."""

_CLOSENESS: Final = {
    stage: at
    for at, stage in enumerate(
        (
            RelationStage.LONG,
            RelationStage.STRONG,
            RelationStage.WEAK,
            RelationStage.POTENTIAL,
            RelationStage.DORMANT,
        )
    )
}


@dataclass(frozen=True, slots=True)
class RelationView:
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
        return (), sum(is_held(bond, reference_us, now_us) for bond in bonds.values())
    told = []
    for brand, bond in bonds.items():
        found = relation(bond, reference_us, now_us)
        if found.stage is not RelationStage.NONE:
            stage = aipl(bond, now_us).stage
            told.append((_CLOSENESS[found.stage], -bond.touched_us, brand, found, stage))
    told.sort(key=lambda one: one[:3])
    return tuple(RelationView(brand, found.stage, found.since_us, stage) for _, _, brand, found, stage in told), 0
