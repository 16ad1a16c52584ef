"""
Which pairs are worth comparing.

Rules are chosen by how many pairs they make, never by whether those are right: first single columns, then two together,
then three, each within the same number of pairs a record, none that a shorter one already implies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from bihuan_identity.linkage.settings import Rule
from bihuan_identity.linkage.spec import LinkageSpec
from bihuan_shared.errors import FailedPrecondition

if TYPE_CHECKING:
    from splink.internals.splink_dataframe import SplinkDataFrame

LONGEST_RULE: Final = 3
MOST_RULES: Final = 40
TRAINING_RULES: Final = 3
FEWEST_TRAINING_PAIRS: Final = 20


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A blocking rule and the number of pairs that agree on it."""

    columns: Rule
    pairs: int


def choose_rules(frames: "Sequence[SplinkDataFrame]", spec: LinkageSpec, record_count: int) -> tuple[CountedRule, ...]:
    """
    Choose the rules that generate candidates, or count those that the spec states.

    Raises FailedPrecondition where no rule finds a pair: then no two records agree on anything.
    """
    if spec.blocking:
        counted = [CountedRule(rule, _count(frames, rule)) for rule in spec.blocking]
    else:
        counted = _within(frames, [column.name for column in spec.columns], spec.pairs_a_record * record_count)
    found = tuple(rule for rule in counted if rule.pairs)
    if not found:
        raise FailedPrecondition("no two records agree on anything that could make them a candidate")
    return found


def _within(frames: "Sequence[SplinkDataFrame]", names: Sequence[str], most_pairs: int) -> list[CountedRule]:
    kept: list[CountedRule] = []
    for size in range(1, LONGEST_RULE + 1):
        for rule in combinations(names, size):
            if len(kept) < MOST_RULES and not any(set(shorter.columns) <= set(rule) for shorter in kept):
                pairs = _count(frames, rule)
                if 0 < pairs <= most_pairs:
                    kept.append(CountedRule(rule, pairs))
    return kept


def training_rules(rules: Sequence[CountedRule]) -> tuple[Rule, ...]:
    """
    Up to three rules without a common column, the most selective first; parameters of a column come from the others.

    Pairs that agree on something selective are matches often enough for expectation maximisation to tell the two kinds
    apart.
    """
    chosen: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (len(rule.columns), rule.pairs, rule.columns)):
        apart = all(set(rule.columns).isdisjoint(other) for other in chosen)
        if apart and rule.pairs >= FEWEST_TRAINING_PAIRS and len(chosen) < TRAINING_RULES:
            chosen.append(rule.columns)
    return tuple(chosen)


def _count(frames: "Sequence[SplinkDataFrame]", rule: Rule) -> int:
    names = ", ".join(rule)
    known = " and ".join(f"{name} is not null" for name in rule)
    blocks = [
        f"select {names}, cast(count(*) as double) as n from {table} where {known} group by {names}"  # noqa: S608  # names from the spec
        for table in ("{this}", *(frame.physical_name for frame in frames[1:]))
    ]
    if len(frames) == 1:
        query = f"select sum(n * (n - 1) / 2) as pairs from ({blocks[0]}) blocks"  # noqa: S608  # as above
    else:
        query = f"select sum(l.n * r.n) as pairs from ({blocks[0]}) l join ({blocks[1]}) r using ({names})"  # noqa: S608
    (pairs,) = frames[0].query_sql(query).as_dict()["pairs"]
    return int(pairs or 0)
