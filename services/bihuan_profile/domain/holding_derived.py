"""What rules make of a person at the time of asking, for the person's own right of access."""

from collections.abc import Iterator
from typing import Final

from bihuan_profile.domain import aarrr, aipl, influence, ladder, relation, segments
from bihuan_profile.domain.derived import DERIVED
from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.holding import Holding
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.standing import derived_facts, standing
from bihuan_profile.domain.taxonomy import RELATION_PURPOSES, WARDROBE_PURPOSES, Taxonomy
from bihuan_profile.domain.wardrobe import preferred_sizes, replacement_us

KIND: Final = "derived"
_SOURCES: Final = {"ladder": ladder.SOURCE, "aarrr_stage": aarrr.SOURCE, "influence_tier": influence.SOURCE}
POPULATION_SOURCE: Final = "comparison with the population"
WARDROBE_SOURCE: Final = "owned items"


def derived_of(record: Record, now_us: int, taxonomy: Taxonomy, population: Population | None) -> Iterator[Holding]:
    """
    Every value that a rule derives at `now_us`, whoever may read it; nothing of them is stored.

    `origin` is the rule's source, the time that of what the value rests on: the newest evidence, or the generation of
    the population. They have no end of their own: they go with what they rest on.
    """
    yield from _of_rules(record, now_us, taxonomy)
    yield from _of_population(record, now_us, taxonomy, population)
    yield from _segments(record, now_us)
    yield from _brands(record, now_us)
    yield from _wardrobe(record, taxonomy)


def _of_rules(record: Record, now_us: int, taxonomy: Taxonomy) -> Iterator[Holding]:
    for rule in DERIVED:
        found = rule.derive(record, now_us) if rule.applies(record) else None
        if found is not None:
            value, time_us = found
            data_class = max(rule.classes)
            yield _made(rule.name, value, data_class, _SOURCES[rule.name], time_us, _purposes(rule.name, taxonomy))


def _of_population(record: Record, now_us: int, taxonomy: Taxonomy, population: Population | None) -> Iterator[Holding]:
    place = standing(record, now_us, population)
    for name, fact in derived_facts(place).items():
        purposes = _purposes(name, taxonomy)
        yield _made(name, fact.value, DataClass.TRANSACTION, POPULATION_SOURCE, fact.time_us, purposes)
    if place is not None and place.alive_probability is not None:
        purposes = _purposes("ltv_90d", taxonomy)
        value = place.alive_probability
        yield _made("alive_probability", value, DataClass.TRANSACTION, POPULATION_SOURCE, place.time_us, purposes)


def _segments(record: Record, now_us: int) -> Iterator[Holding]:
    for one in segments.SEGMENTS:
        if one.holds(record, now_us):
            looked_at = one.evidence(record)
            time_us = max((value for name, value in looked_at.items() if name.endswith("_time")), default=0)
            name = f"segment:{one.name}"
            yield _made(name, True, one.data_class, segments.SOURCE, time_us, one.purposes)


def _brands(record: Record, now_us: int) -> Iterator[Holding]:
    at_us = max(now_us, record.reference_us)
    for brand, bond in sorted(record.bonds.items()):
        data_class = DataClass.TRANSACTION if bond.orders else DataClass.OPERATION
        close, come = relation.relation(bond, record.reference_us, at_us), aipl.aipl(bond, at_us)
        for name, stage, source in (
            ("relation", close.stage.name, relation.SOURCE),
            ("aipl", come.stage.name, aipl.SOURCE),
        ):
            if stage != "NONE":
                value = stage.lower()
                yield _made(f"{name}:{brand}", value, data_class, source, bond.touched_us, RELATION_PURPOSES)


def _wardrobe(record: Record, taxonomy: Taxonomy) -> Iterator[Holding]:
    for kind, owned in sorted(record.wardrobe.items()):
        due_us = replacement_us(owned, taxonomy.usual_replacement_us(kind.category)) if owned.quantity > 0 else None
        if due_us is not None:
            name = f"replacement_time_us:{'/'.join(kind)}"
            yield _made(name, due_us, DataClass.TRANSACTION, WARDROBE_SOURCE, owned.last_us, WARDROBE_PURPOSES)
    for one in preferred_sizes(record.wardrobe):
        last_us = max(owned.last_us for kind, owned in record.wardrobe.items() if kind[0] == one.category)
        value = {"size": one.size, "share": one.share}
        yield _made(f"size:{one.category}", value, DataClass.TRANSACTION, WARDROBE_SOURCE, last_us, WARDROBE_PURPOSES)


def _purposes(name: str, taxonomy: Taxonomy) -> frozenset[Purpose]:
    tag = taxonomy.get(name)
    return frozenset() if tag is None else tag.purposes


def _made(
    name: str, value: object, data_class: DataClass, source: str, time_us: int, purposes: frozenset[Purpose]
) -> Holding:
    return Holding(KIND, name, value, data_class, source, time_us, purposes)
