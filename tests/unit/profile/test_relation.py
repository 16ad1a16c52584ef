"""Stages of a person and a brand: cell by cell, and as a machine that only moves along declared edges."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.bond import NO_BOND, Bond
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.domain.relation import TRANSITIONS, Kind, RelationStage, held_count, relation
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
NONE, POTENTIAL, WEAK = RelationStage.NONE, RelationStage.POTENTIAL, RelationStage.WEAK
STRONG, LONG, DORMANT = RelationStage.STRONG, RelationStage.LONG, RelationStage.DORMANT
VIEW, ORDER, SEEN, CART = Behaviour.VIEW, Behaviour.ORDER, Behaviour.IMPRESSION, Behaviour.CART
REFUND = Behaviour.REFUND

Told = tuple[Behaviour, float]


def record(*told: Told) -> Record:
    """What a person did with a brand, each so many days ago."""
    events = [
        Event(1, str(at), behaviour, NOW_US - round(days * DAY_US), ("brand:acme",))
        for at, (behaviour, days) in enumerate(told)
    ]
    return fold(EMPTY, events)


def held(*told: Told) -> tuple[Bond, int]:
    made = record(*told)
    return made.bonds.get("acme", NO_BOND), made.reference_us


@pytest.mark.parametrize(
    ("told", "stage", "since_days", "until_days"),
    [
        ([], NONE, None, None),
        ([(SEEN, 90)], POTENTIAL, 90, 0),
        ([(SEEN, 91)], NONE, 1, None),
        ([(SEEN, 10), (SEEN, 80)], POTENTIAL, 10, 80),
        ([(VIEW, 90)], WEAK, 90, 0),
        ([(VIEW, 91)], DORMANT, 1, 309),
        ([(VIEW, 400)], DORMANT, 310, 0),
        ([(VIEW, 401)], NONE, 1, None),
        ([(VIEW, 401), (SEEN, 10)], POTENTIAL, 1, 80),
        ([(VIEW, 450), (SEEN, 10)], POTENTIAL, 10, 80),
        ([(VIEW, 200), (SEEN, 1)], DORMANT, 110, 200),
        ([(VIEW, 1), (SEEN, 0)], WEAK, 1, 89),
        ([(ORDER, 90)], STRONG, 90, 0),
        ([(ORDER, 91)], DORMANT, 1, 309),
        ([(ORDER, 91), (VIEW, 1)], WEAK, 1, 89),
        ([(ORDER, 100), (VIEW, 20)], WEAK, 10, 70),
        ([(ORDER, 50), (ORDER, 10)], STRONG, 50, 80),
        ([(ORDER, 150), (ORDER, 10)], STRONG, 10, 80),
        ([(CART, 0)] * 3, WEAK, 0, 90),
        ([(CART, 0)] * 4, STRONG, 0, None),
        ([(ORDER, 0), (REFUND, 0)], STRONG, 0, 90),
        ([(REFUND, 5)], WEAK, 5, 85),
        ([(ORDER, 190), (ORDER, 100), (ORDER, 10)], LONG, 10, 80),
        ([(ORDER, 189), (ORDER, 100), (ORDER, 10)], STRONG, 10, 80),
        ([(ORDER, 190), (ORDER, 10)], STRONG, 10, 80),
        ([(ORDER, 280), (ORDER, 200), (ORDER, 90)], LONG, 90, 0),
        ([(ORDER, 280), (ORDER, 200), (ORDER, 91), (VIEW, 2)], WEAK, 1, 88),
        ([(ORDER, 280), (ORDER, 200), (ORDER, 91), *[(CART, 1)] * 4], STRONG, 1, None),
        ([(ORDER, 281), (ORDER, 200), (ORDER, 91)], DORMANT, 1, 309),
    ],
)
def test_stage_since_and_until_follow_the_rules(
    told: Sequence[Told], stage: RelationStage, since_days: float | None, until_days: float | None
) -> None:
    found = relation(*held(*told), NOW_US)
    assert found.stage is stage
    if since_days is not None:
        assert found.since_us == pytest.approx(NOW_US - since_days * DAY_US, abs=1)
    else:
        assert found.since_us == 0
    if until_days is not None:
        assert found.until_us == NOW_US + until_days * DAY_US + 1
    else:
        assert (found.until_us is None) == (stage is NONE)


def test_warm_relation_cools_when_its_decayed_warmth_falls_below_two_purchases() -> None:
    warm, reference_us = replace(NO_BOND, dealings=9, first_us=NOW_US, last_us=NOW_US, warmth=4.0), NOW_US
    found = relation(warm, reference_us, NOW_US)
    assert found.stage is STRONG
    assert found.until_us == NOW_US + LONG_HALF_LIFE_US + 1
    assert relation(warm, reference_us, NOW_US + LONG_HALF_LIFE_US).stage is STRONG
    assert relation(warm, reference_us, NOW_US + LONG_HALF_LIFE_US + 1).stage is WEAK


def test_read_before_the_newest_event_is_answered_as_of_that_event() -> None:
    assert relation(*held((ORDER, 0)), NOW_US - 500 * DAY_US).stage is STRONG
    brand, _ = held((VIEW, 100))
    assert relation(brand, NOW_US, NOW_US - 50 * DAY_US).stage is DORMANT


def test_edges_are_declared_once_each_and_never_stay() -> None:
    edges = [(one.source, one.target, one.kind) for one in TRANSITIONS]
    assert len(edges) == len(set(edges))
    assert all(one.source is not one.target and one.guard for one in TRANSITIONS)


steps = st.lists(
    st.tuples(
        st.sampled_from([SEEN, VIEW, CART, CART, ORDER, ORDER, REFUND, Behaviour.COUPON]),
        st.one_of(
            st.integers(0, 450 * DAY_US),
            st.sampled_from([0, 1, 30 * DAY_US, 90 * DAY_US, 90 * DAY_US + 1, 400 * DAY_US + 1]),
            st.integers(0, 40 * DAY_US),
        ),
        st.integers(1, 5),
    ),
    max_size=14,
)


def moved(source: RelationStage, target: RelationStage, kind: Kind) -> bool:
    return source is target or any((one.source, one.target, one.kind) == (source, target, kind) for one in TRANSITIONS)


@given(steps)
def test_history_moves_only_along_declared_edges_and_time_only_at_the_instant_foretold(
    history: list[tuple[Behaviour, int, int]],
) -> None:
    now_us, kept = NOW_US, EMPTY
    stage = NONE
    for number, (behaviour, pause_us, times) in enumerate(history):
        brand, then_us = kept.bonds.get("acme", NO_BOND), now_us + pause_us
        reference_us = kept.reference_us
        # The clock goes from one foretold change to the next: nothing changes on the way, and something does there.
        at_us = now_us
        while (until_us := relation(brand, reference_us, at_us).until_us) is not None and until_us <= then_us:
            assert until_us > at_us
            assert relation(brand, reference_us, until_us - 1).stage is stage
            following = relation(brand, reference_us, until_us).stage
            assert following is not stage
            assert moved(stage, following, Kind.TIME), (stage, following)
            at_us, stage = until_us, following
        assert relation(brand, reference_us, then_us).stage is stage
        now_us = then_us
        for repeat in range(times):
            kept = fold(kept, [Event(1, f"{number}.{repeat}", behaviour, now_us, ("brand:acme",))])
            following = relation(kept.bonds["acme"], kept.reference_us, now_us).stage
            assert moved(stage, following, Kind.INTERACTION), (stage, following, behaviour)
            stage = following


@given(steps, st.integers(0, 500 * DAY_US))
def test_since_is_never_later_than_now_and_the_stage_held_all_along(
    history: list[tuple[Behaviour, int, int]], later_us: int
) -> None:
    now_us, kept = NOW_US, EMPTY
    spans: list[tuple[int, RelationStage]] = [(0, NONE)]
    for number, (behaviour, pause_us, times) in enumerate(history):
        end_us = now_us + pause_us
        note_time(spans, kept, now_us, end_us)
        now_us = end_us
        kept = fold(kept, [Event(1, f"{number}.{at}", behaviour, now_us, ("brand:acme",)) for at in range(times)])
        spans.append((now_us, relation(kept.bonds["acme"], kept.reference_us, now_us).stage))
    end_us = now_us + later_us
    note_time(spans, kept, now_us, end_us)
    found = relation(kept.bonds.get("acme", NO_BOND), kept.reference_us, end_us)
    assert found.since_us <= end_us
    began_us = next(
        (spans[at][0] for at in range(len(spans) - 1, 0, -1) if spans[at - 1][1] is not found.stage), spans[0][0]
    )
    # Warmth is rounded whenever events are added to it, so that its end moves by microseconds.
    assert found.since_us >= began_us - 1_000
    if found.stage is DORMANT:
        assert found.since_us == began_us


def note_time(spans: list[tuple[int, RelationStage]], kept: Record, now_us: int, end_us: int) -> None:
    brand = kept.bonds.get("acme", NO_BOND)
    at_us = now_us
    while (until_us := relation(brand, kept.reference_us, at_us).until_us) is not None and until_us <= end_us:
        spans.append((until_us, relation(brand, kept.reference_us, until_us).stage))
        at_us = until_us


@given(steps, st.integers(0, 500 * DAY_US), st.randoms(use_true_random=False))
def test_stage_does_not_depend_on_the_order_and_batching_of_events(
    history: list[tuple[Behaviour, int, int]], later_us: int, random: Random
) -> None:
    now_us = NOW_US
    events = []
    for number, (behaviour, pause_us, times) in enumerate(history):
        now_us += pause_us
        events += [Event(1, f"{number}.{at}", behaviour, now_us, ("brand:acme",)) for at in range(times)]
    shuffled = list(events)
    random.shuffle(shuffled)
    one, other = fold(EMPTY, events), EMPTY
    for event in shuffled:
        other = fold(other, [event])
    now_us += later_us
    first = relation(one.bonds.get("acme", NO_BOND), one.reference_us, now_us)
    second = relation(other.bonds.get("acme", NO_BOND), other.reference_us, now_us)
    if first.stage is not second.stage:
        # Warmth is a rounded sum: it may cross the threshold microseconds earlier or later, and nothing else may.
        assert {first.stage, second.stage} == {WEAK, STRONG}
        assert min(abs(found.until_us - now_us) for found in (first, second) if found.until_us) < 1_000
    else:
        assert first.since_us == pytest.approx(second.since_us, abs=1_000)


@given(steps, st.integers(0, 500 * DAY_US))
def test_none_is_what_is_not_held(history: list[tuple[Behaviour, int, int]], later_us: int) -> None:
    told = [(behaviour, pause_us / DAY_US) for behaviour, pause_us, _ in history]
    brand, reference_us = held(*told)
    assert held_count([brand], reference_us, NOW_US + later_us) == (
        relation(brand, reference_us, NOW_US + later_us).stage is not NONE
    )


OLD_ORDERS: list[Told] = [(ORDER, 900), (ORDER, 700), (ORDER, 690)]
LASTING: list[Told] = [(ORDER, 300), (ORDER, 200), (ORDER, 90)]
EXAMPLES: dict[tuple[RelationStage, RelationStage, Kind], tuple[list[Told], Behaviour | None]] = {
    (NONE, POTENTIAL, Kind.INTERACTION): ([], SEEN),
    (NONE, WEAK, Kind.INTERACTION): ([], VIEW),
    (NONE, STRONG, Kind.INTERACTION): ([], ORDER),
    (NONE, LONG, Kind.INTERACTION): (OLD_ORDERS, ORDER),
    (POTENTIAL, WEAK, Kind.INTERACTION): ([(SEEN, 3)], CART),
    (POTENTIAL, STRONG, Kind.INTERACTION): ([(SEEN, 3)], ORDER),
    (POTENTIAL, LONG, Kind.INTERACTION): ([*OLD_ORDERS, (SEEN, 3)], ORDER),
    (WEAK, STRONG, Kind.INTERACTION): ([(CART, 0)] * 3, CART),
    (WEAK, LONG, Kind.INTERACTION): ([*OLD_ORDERS, (VIEW, 3)], ORDER),
    (STRONG, LONG, Kind.INTERACTION): ([(ORDER, 180), (ORDER, 2)], ORDER),
    (STRONG, WEAK, Kind.INTERACTION): ([(CART, 0)] * 4, REFUND),
    (DORMANT, WEAK, Kind.INTERACTION): ([(VIEW, 100)], VIEW),
    (DORMANT, STRONG, Kind.INTERACTION): ([(VIEW, 100)], ORDER),
    (DORMANT, LONG, Kind.INTERACTION): ([(ORDER, 300), (ORDER, 200)], ORDER),
    (POTENTIAL, NONE, Kind.TIME): ([(SEEN, 90)], None),
    (WEAK, DORMANT, Kind.TIME): ([(VIEW, 90)], None),
    (STRONG, WEAK, Kind.TIME): ([(ORDER, 90), (VIEW, 3)], None),
    (STRONG, DORMANT, Kind.TIME): ([(ORDER, 90)], None),
    (LONG, STRONG, Kind.TIME): ([*LASTING, *[(CART, 0)] * 4], None),
    (LONG, WEAK, Kind.TIME): ([*LASTING, (VIEW, 1)], None),
    (LONG, DORMANT, Kind.TIME): (LASTING, None),
    (DORMANT, NONE, Kind.TIME): ([(VIEW, 400)], None),
    (DORMANT, POTENTIAL, Kind.TIME): ([(VIEW, 400), (SEEN, 3)], None),
}


@pytest.mark.parametrize("edge", [(one.source, one.target, one.kind) for one in TRANSITIONS])
def test_every_declared_edge_is_taken_by_some_history(edge: tuple[RelationStage, RelationStage, Kind]) -> None:
    source, target, _ = edge
    told, behaviour = EXAMPLES[edge]
    assert relation(*held(*told), NOW_US).stage is source
    if behaviour is None:
        assert relation(*held(*told), NOW_US + 1).stage is target
    else:
        assert relation(*held(*told, (behaviour, 0)), NOW_US).stage is target
