"""Brand behaviour stands for an expression over what profiles tell, with the windows that those have."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.aipl import aipl
from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.bond import NO_BOND, with_event
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US, long_factor
from bihuan_profile.domain.relation import relation
from bihuan_scoring.domain.brand_behaviour import (
    INTEREST_HALF_LIFE_DAYS,
    WINDOWS,
    BehaviourKind,
    BrandBehaviour,
    fan_threshold,
)
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.lookup import MemberLookup
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.profile_segments import aipl_segment, relation_segment
from bihuan_shared.targeting import canonical, check, evaluate, parse

KIND = BehaviourKind
NOW_US = 5_000 * DAY_US
BRAND, RIVAL = 'tea "no. 1"', "coffee"
DEEDS = st.sampled_from([Behaviour.IMPRESSION, Behaviour.CLICK, Behaviour.ORDER])
HISTORIES = st.lists(st.tuples(st.integers(1, 800), DEEDS), max_size=5)
History = Sequence[tuple[int, Behaviour]]


def _segments(brand: str, history: History) -> set[str]:
    bond = NO_BOND
    for days, behaviour in history:
        event = Event(1, f"{days}", behaviour, NOW_US - days * DAY_US)
        bond = with_event(bond, event, long_factor(days * DAY_US))
    stage, step = relation(bond, NOW_US, NOW_US).stage, aipl(bond, NOW_US).stage
    return {relation_segment(stage.name.lower(), brand), aipl_segment(step.name.lower(), brand)}


def _fits(asked: BrandBehaviour, segments: set[str], **interests: float) -> bool:
    expression = parse(asked.expression())
    check(expression, {})
    person = PersonFacts(1, {}, [(tag, weight, 0.0) for tag, weight in interests.items()], segments=frozenset(segments))
    return evaluate(expression, ExpressionFacts(person, MemberLookup()))


def _within(history: History, days: int, *, ordered: bool) -> bool:
    dealings = {Behaviour.ORDER} if ordered else {Behaviour.ORDER, Behaviour.CLICK}
    return any(ago <= days and behaviour in dealings for ago, behaviour in history)


@given(HISTORIES)
def test_packages_hold_whom_histories_say(history: History) -> None:
    segments = _segments(BRAND, history)
    bought = _within(history, 365, ordered=True)
    assert _fits(BrandBehaviour(KIND.EXISTING, BRAND), segments) == bought
    for days in (90, 400):
        dealt = _within(history, days, ordered=False)
        assert _fits(BrandBehaviour(KIND.INTERACTED, BRAND, days), segments) == dealt
        assert _fits(BrandBehaviour(KIND.POTENTIAL, BRAND, days), segments) == (dealt and not bought)


@given(HISTORIES, HISTORIES)
def test_fans_of_a_rival_leave_out_own_customers_where_a_brand_is_given(own: History, others: History) -> None:
    segments = _segments(BRAND, own) | _segments(RIVAL, others)
    fan = _fits(BrandBehaviour(KIND.FANS_OF_RIVAL, rival=RIVAL), segments)
    if _within(others, 90, ordered=True):
        assert fan
    if not _within(others, 90, ordered=False):
        assert not fan
    long_fan = _fits(BrandBehaviour(KIND.FANS_OF_RIVAL, rival=RIVAL, within_days=365), segments)
    orders = [ago for ago, behaviour in others if behaviour is Behaviour.ORDER]
    assert long_fan == (fan or (len(orders) > 1 and min(orders) <= 365))
    won = _fits(BrandBehaviour(KIND.FANS_OF_RIVAL, BRAND, rival=RIVAL), segments)
    assert won == (fan and not _within(own, 365, ordered=True))


def test_fans_of_a_topic_have_the_interest_that_an_order_of_then_has_left() -> None:
    assert LONG_HALF_LIFE_US == INTEREST_HALF_LIFE_DAYS * DAY_US
    for days in (1, 30, 90):
        assert fan_threshold(days) == round(long_factor(days * DAY_US), 3)
    asked = BrandBehaviour(KIND.FANS_OF_TOPIC, topic="tea")
    assert asked.expression() == 'interest("tea") >= 0.5'
    assert [_fits(asked, set(), tea=weight) for weight in (0.49, 0.5)] == [False, True]
    assert not _fits(
        BrandBehaviour(KIND.FANS_OF_TOPIC, BRAND, 60, "tea"), _segments(BRAND, [(3, Behaviour.ORDER)]), tea=9
    )


def test_every_window_of_every_kind_has_a_canonical_expression() -> None:
    for kind, windows in WINDOWS.items():
        topic = "tea" if kind is KIND.FANS_OF_TOPIC else ""
        rival = RIVAL if kind is KIND.FANS_OF_RIVAL else ""
        for days in windows:
            text = BrandBehaviour(kind, BRAND, days, topic, rival).expression()
            assert canonical(parse(text)) == text
        unasked = BrandBehaviour(kind, BRAND, 0, topic, rival)
        assert unasked.expression() == BrandBehaviour(kind, BRAND, windows[0], topic, rival).expression()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (BrandBehaviour(KIND.EXISTING), "brand"),
        (BrandBehaviour(KIND.EXISTING, "a\x01"), "brand"),
        (BrandBehaviour(KIND.EXISTING, "a", 90), "within_days"),
        (BrandBehaviour(KIND.POTENTIAL, "a", 30), "within_days"),
        (BrandBehaviour(KIND.FANS_OF_TOPIC, topic="t", within_days=91), "within_days"),
        (BrandBehaviour(KIND.INTERACTED, "a", topic="t"), "topic"),
        (BrandBehaviour(KIND.INTERACTED, "a", rival="b"), "rival"),
        (BrandBehaviour(KIND.FANS_OF_TOPIC, "a"), "topic"),
        (BrandBehaviour(KIND.FANS_OF_RIVAL, "a"), "rival"),
        (BrandBehaviour(KIND.FANS_OF_RIVAL, "a", rival="a"), "rival"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(asked: BrandBehaviour, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        asked.expression()
    assert [one.field for one in caught.value.violations] == [f"definition.brand_behaviour.{field}"]
