"""
Why a person is where the rules put it: each stage, segment and tier with its rule, source and evidence.

What is explained is what a read at the same instant tells, from the same functions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain import aarrr, aipl, influence, ladder, relation, segments
from bihuan_profile.domain.behaviour import Behaviour
from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import long_factor
from bihuan_profile.domain.derived import DERIVED
from bihuan_profile.domain.governance import DataClass, Permit, Purpose
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.relations import RELATION_CLASSES
from bihuan_profile.domain.taxonomy import RELATION_PURPOSES, Taxonomy

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    One thing that a rule says of a person.

    `subject` is an attribute (`ladder`), a segment (`segment:lapsed`), a relation (`relation:acme`) or a stage with a
    brand (`aipl:acme`). Evidence whose name ends in `_time` is an instant in microseconds, 0 where there is none.
    `until_us` is when the rule would say something else if nothing happened, None where never.
    """

    subject: str
    value: str
    rule: str
    source: str
    evidence: Mapping[str, Value]
    until_us: int | None


@dataclass(frozen=True, slots=True)
class _Claim:
    """An explanation, and what it takes to tell it."""

    explanation: Explanation
    classes: frozenset[DataClass]
    purposes: frozenset[Purpose]


def explain(record: Record, permit: Permit, now_us: int, taxonomy: Taxonomy) -> tuple[list[Explanation], int]:
    """Everything that rules say of a record at `now_us` and `permit` lets out, and how much is withheld."""
    claims = [*_of_attributes(record, now_us, taxonomy), *_of_segments(record, now_us), *_of_bonds(record, now_us)]
    told = [one.explanation for one in claims if permit.allows_all(one.classes, one.purposes)]
    return told, len(claims) - len(told)


def _of_attributes(record: Record, now_us: int, taxonomy: Taxonomy) -> Iterator[_Claim]:
    made = {one.subject: one for one in (_ladder(record, now_us), _aarrr(record, now_us), _tier(record, now_us)) if one}
    for rule in DERIVED:
        tag, explanation = taxonomy.get(rule.name), made.get(rule.name)
        if tag is not None and explanation is not None:
            yield _Claim(explanation, rule.classes, tag.purposes)


def _ladder(record: Record, now_us: int) -> Explanation | None:
    found = ladder.ladder(record, now_us)
    if found is None:
        return None
    lasts = {
        f"last_{one.name.lower()}_time": record.counts[one].last_time_us
        for _, behaviours in ladder.RUNGS
        for one in behaviours
        if one in record.counts
    }
    return Explanation("ladder", found.rung, ladder.RULES[found.rung], ladder.SOURCE, lasts, found.until_us)


def _aarrr(record: Record, now_us: int) -> Explanation | None:
    found = aarrr.aarrr(record, now_us)
    if found is None:
        return None
    evidence: dict[str, Value] = {
        "first_operation_time": record.first_operation_us,
        "orders": record.orders.frequency,
        "last_order_time": record.orders.last_time_us,
    }
    for behaviour, count in sorted(record.counts.items()):
        name = Behaviour(behaviour).name.lower()
        evidence |= {f"{name}_count": count.total, f"last_{name}_time": count.last_time_us}
    return Explanation("aarrr_stage", found.stage, aarrr.RULES[found.stage], aarrr.SOURCE, evidence, found.until_us)


def _tier(record: Record, now_us: int) -> Explanation | None:
    found = influence.influence_tier(record.influence, record.reference_us, now_us)
    if found is None:
        return None
    evidence: dict[str, Value] = {
        "decayed_reach": found.reach,
        "resonance_rate": found.resonance_rate,
        "reach": record.influence.reach,
        "resonance": record.influence.resonance,
        "last_echo_time": record.influence.last_us,
    }
    rule, source = influence.TIER_RULE, influence.SOURCE
    return Explanation("influence_tier", found.tier, rule, source, evidence, found.until_us)


def _of_segments(record: Record, now_us: int) -> Iterator[_Claim]:
    for segment in segments.SEGMENTS:
        if segment.holds(record, now_us):
            yield _Claim(
                Explanation(
                    f"segment:{segment.name}",
                    segment.name,
                    segment.rule,
                    segments.SOURCE,
                    segment.evidence(record),
                    segment.until_us(record),
                ),
                frozenset({segment.data_class}),
                segment.purposes,
            )


def _of_bonds(record: Record, now_us: int) -> Iterator[_Claim]:
    for brand, bond in sorted(record.bonds.items()):
        evidence = _evidence(bond, now_us - record.reference_us)
        close = relation.relation(bond, record.reference_us, now_us)
        if close.stage is not relation.RelationStage.NONE:
            rule = relation.RULES[close.stage]
            yield _on_brand("relation", brand, close.stage.name, rule, relation.SOURCE, evidence, close.until_us)
        come = aipl.aipl(bond, max(now_us, record.reference_us))
        if come.stage is not aipl.AiplStage.NONE:
            rule = aipl.RULES[come.stage]
            yield _on_brand("aipl", brand, come.stage.name, rule, aipl.SOURCE, evidence, come.until_us)


def _on_brand(
    kind: str, brand: str, stage: str, rule: str, source: str, evidence: Mapping[str, Value], until_us: int | None
) -> _Claim:
    explanation = Explanation(f"{kind}:{brand}", stage.lower(), rule, source, evidence, until_us)
    return _Claim(explanation, RELATION_CLASSES, RELATION_PURPOSES)


def _evidence(bond: Bond, age_us: int) -> dict[str, Value]:
    return {
        "dealings": bond.dealings,
        "first_dealing_time": bond.first_us,
        "last_dealing_time": bond.last_us,
        "orders": bond.orders,
        "first_order_time": bond.first_order_us,
        "last_order_time": bond.last_order_us,
        "last_impression_time": bond.seen_us,
        "warmth": bond.warmth * long_factor(age_us),
    }


INSTANT_SUFFIX: Final = "_time"
"""What the names of evidence that are instants end in."""
