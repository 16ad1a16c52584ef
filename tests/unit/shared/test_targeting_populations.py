"""The evaluator over everyone says what the evaluator of one person says, and reasons say why."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

import pytest
from random_targeting import AUDIENCES, TAXONOMY, Someone, expression, someone

from bihuan_shared.targeting import (
    Attribute,
    Expression,
    Holds,
    InstantInterest,
    Operand,
    Span,
    Value,
    canonical,
    check,
    evaluate,
    explain,
    finding,
    members,
    parse,
)


@dataclass(frozen=True)
class Sets:
    """Everyone as plain sets."""

    persons: Mapping[int, Someone]

    def everyone(self) -> frozenset[int]:
        return frozenset(self.persons)

    def text(self, name: str, value: str, /) -> frozenset[int]:
        return self._who(lambda one: one.attribute(name) == value and isinstance(one.attribute(name), str))

    def texts(self, name: str, /) -> frozenset[int]:
        return self._who(lambda one: isinstance(one.attribute(name), str))

    def flag(self, name: str, /, *, value: bool) -> frozenset[int]:
        return self._who(lambda one: one.attribute(name) is value)

    def numbers(self, operand: Operand, span: Span, among: frozenset[int] | None = None, /) -> frozenset[int]:

        def fits(one: Someone) -> bool:
            if isinstance(operand, Attribute):
                number = one.attribute(operand.name)
                return not isinstance(number, bool | str | None) and number in span
            weight = one.instant_interest if isinstance(operand, InstantInterest) else one.interest
            return weight(operand.tag) > 0 and weight(operand.tag) in span

        return self._who(fits) if among is None else self._who(fits) & among

    def audience(self, audience_id: str, /) -> frozenset[int]:
        return self._who(lambda one: one.in_audience(audience_id))

    def segment(self, segment_id: str, /) -> frozenset[int]:
        return self._who(lambda one: one.in_segment(segment_id))

    def _who(self, fits: Callable[[Someone], bool]) -> frozenset[int]:
        return frozenset(person_id for person_id, one in self.persons.items() if fits(one))


def _people(random: Random, count: int) -> Sets:
    return Sets({person_id: someone(random, person_id) for person_id in range(1, count + 1)})


@pytest.mark.parametrize("seed", range(10))
def test_both_evaluators_agree_on_a_thousand_expressions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 over all seeds, whatever share of everyone counts as few."""
    monkeypatch.setattr(finding, "_FEW", (1, 3, 16)[seed % 3])
    random = Random(seed)
    matched = 0
    for _ in range(20):
        people = _people(random, 25)
        for _ in range(50):
            written = expression(random)
            check(written, TAXONOMY)
            expected = _who_fits(written, people.persons.values())
            assert members(written, people) == expected, canonical(written)
            matched += 0 < len(expected) < len(people.persons)
    assert matched > 400  # the expressions say something


def _who_fits(written: Expression, people: Iterable[Someone]) -> frozenset[int]:
    return frozenset(one.person_id for one in people if evaluate(written, one))


@pytest.mark.parametrize("seed", range(4))
def test_reasons_add_up_to_the_outcome(seed: int) -> None:
    """Without anything withheld the outcome is what the evaluator says; with it, it is never the opposite."""
    random = Random(seed)
    for _ in range(250):
        written = parse(canonical(_finite(random)))
        one = someone(random, 1)
        told = evaluate(written, one)
        plain, cautious = explain(written, one, withheld=False), explain(written, one, withheld=True)
        assert plain.matches is cautious.matches is told
        assert plain.outcome is (Holds.YES if told else Holds.NO)
        assert cautious.outcome in {plain.outcome, Holds.UNKNOWN}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_known_for_sure_stays_true_when_more_is_told(seed: int) -> None:
    random = Random(seed)
    for _ in range(250):
        written = parse(canonical(_finite(random)))
        whole = someone(random, 1)
        kept = Someone(
            1,
            {name: value for name, value in whole.attributes.items() if random.random() < 0.5},
            {tag: weights for tag, weights in whole.interests.items() if random.random() < 0.5},
            whole.audiences,
            frozenset(),
        )
        outcome = explain(written, kept, withheld=True).outcome
        if outcome is not Holds.UNKNOWN:
            assert evaluate(written, whole) is (outcome is Holds.YES), canonical(written)


def _finite(random: Random) -> Expression:
    """An expression that can be written: infinity cannot."""
    while True:
        written = expression(random)
        if "inf" not in canonical(written).lower().replace("interest", "").replace("in ", ""):
            return written


def test_each_condition_tells_its_text_its_column_the_value_and_whether_it_holds() -> None:
    text = 'not city == "Köln" and (age in 25..34 or segment("loyal")) and audience("a1") and member'
    one = Someone(7, {"city": "Bonn", "age": 40.0}, {}, frozenset(AUDIENCES[:1]))
    why = explain(parse(text), one, withheld=True)
    found: list[tuple[str, str, Value | None, Holds]] = [
        (reason.text, text[reason.column - 1 :][:4], reason.value, reason.holds) for reason in why.reasons
    ]
    assert found == [
        ('city == "Köln"', "city", "Bonn", Holds.NO),
        ("age in 25..34", "age ", 40.0, Holds.NO),
        ('segment("loyal")', '"loy', None, Holds.UNKNOWN),
        ('audience("a1")', '"a1"', True, Holds.YES),
        ("member == true", "memb", None, Holds.UNKNOWN),
    ]
    assert (why.matches, why.outcome) == (False, Holds.UNKNOWN)


def test_one_condition_that_fails_decides_whatever_is_withheld() -> None:
    why = explain(parse("age > 30 and member"), Someone(7, {"age": 20.0}), withheld=True)
    assert why.outcome is Holds.NO
