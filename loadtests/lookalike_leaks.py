"""
Leaks that are planted to be found, and leaks that must not be there; what is counted is what went wrong.

Planted: a column that only seeds have, the attributes and tags of the expression that defines the seed, attributes and
orders that are dated after the seed's cut-off, and the tag of the genre that a lover is defined by. Not there: a
household's feature that changes when everything from its cut-off on is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from lookalike_trial import fitted

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.lookalike.leakage import Definition, Leak, younger
from bihuan_scoring.lookalike.snapshot import snapshot_rows
from bihuan_shared.targeting import parse, references


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """A check and whether it held."""

    name: str
    held: bool


def planted(persons: Sequence[PersonFacts], seed_ids: frozenset[int], as_of_us: int) -> list[LeakCheck]:
    """Every kind of leak, planted into these persons."""
    return [
        *_guises(persons, seed_ids, as_of_us),
        *_definitions(persons, seed_ids, as_of_us),
        *_dates(persons, seed_ids, as_of_us),
    ]


def _guises(persons: Sequence[PersonFacts], seed_ids: frozenset[int], as_of_us: int) -> list[LeakCheck]:
    """The seed itself, as a number, as a text and as a tag."""
    marked = [
        replace(
            person,
            attributes={**person.attributes, "score_crm": float(person.person_id in seed_ids)}
            | {"group": "won" if person.person_id in seed_ids else f"open{person.person_id % 3}"},
            interests=[*person.interests, ("list:winners", 1.0, 0.0)]
            if person.person_id in seed_ids
            else person.interests,
        )
        for person in persons
    ]
    model, dropped = fitted(marked, seed_ids, as_of_us, Definition())
    found = {each.feature for each in dropped if each.leak is Leak.SEPARATES_ALONE}
    wanted = ("attribute_score_crm", "attribute_group", "tag_list:winners")
    return [
        LeakCheck(f"{name} is named and dropped", name in found and name not in model.layout.names) for name in wanted
    ]


def _definitions(persons: Sequence[PersonFacts], seed_ids: frozenset[int], as_of_us: int) -> list[LeakCheck]:
    """What the expression of a seed asks about counts nowhere, not even in a bucket or a sum."""
    definition = Definition.of([references(parse('income == "35-49K" and interest("category:soup") > 0.5'))])
    model, dropped = fitted(persons, seed_ids, as_of_us, definition)
    found = {each.feature for each in dropped if each.leak is Leak.DEFINES_SEED}
    layout = model.layout
    return [
        LeakCheck("the expression's attribute is dropped", "attribute_income" in found),
        LeakCheck("the expression's tag is dropped", "tag_category:soup" in found),
        LeakCheck("neither is a column", not found & set(layout.names)),
        LeakCheck("the tag is in no bucket", layout.column_of_tag("category:soup") < 0),
    ]


def _dates(persons: Sequence[PersonFacts], seed_ids: frozenset[int], as_of_us: int) -> list[LeakCheck]:
    """An attribute that was learnt after the seed was drawn, and orders placed after it."""
    dated = [
        replace(
            person,
            attributes={**person.attributes, "tier": "gold", "old": "yes"},
            attribute_times_us={"tier": as_of_us + 1, "old": as_of_us - 1},
            orders=None if person.orders is None else replace(person.orders, last_order_time_us=as_of_us + 1),
        )
        for person in persons
    ]
    is_seed = np.array([person.person_id in seed_ids for person in dated], dtype=bool)
    found = {each.feature for each in younger(snapshot_rows(dated), is_seed, as_of_us)}
    return [
        LeakCheck("an attribute of after the cut-off is dropped", "attribute_tier" in found),
        LeakCheck("an attribute of before the cut-off stays", "attribute_old" not in found),
        LeakCheck("orders of after the cut-off are dropped", "rfm_recency_days" in found),
    ]


def same_facts(first: Sequence[PersonFacts], second: Sequence[PersonFacts], name: str) -> LeakCheck:
    """Two readings of one pool say the same to the byte."""
    return LeakCheck(name, snapshot_rows(first).equals(snapshot_rows(second)))
