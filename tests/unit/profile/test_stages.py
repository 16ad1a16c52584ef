"""AIPL, AARRR, the ladder and the influence tier: cell by cell, and exact about when they change."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain import aarrr as funnel
from bihuan_profile.domain import aipl as steps
from bihuan_profile.domain import ladder as rungs
from bihuan_profile.domain.aarrr import AARRR_VALUES, aarrr
from bihuan_profile.domain.aipl import AiplStage, aipl
from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.bond import NO_BOND
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US
from bihuan_profile.domain.influence import REACH_FLOORS, TIERS, Influence, influence_tier
from bihuan_profile.domain.ladder import LADDER_VALUES, ladder
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
B = Behaviour
Told = tuple[Behaviour, float]


def record(*told: Told) -> Record:
    events = [
        Event(1, str(at), behaviour, NOW_US - round(days * DAY_US), ("brand:acme",))
        for at, (behaviour, days) in enumerate(told)
    ]
    return fold(EMPTY, events)


@pytest.mark.parametrize(
    ("told", "stage", "until_days"),
    [
        ([], AiplStage.NONE, None),
        ([(B.IMPRESSION, 90)], AiplStage.AWARE, 0),
        ([(B.IMPRESSION, 91)], AiplStage.NONE, None),
        ([(B.VIEW, 90), (B.IMPRESSION, 1)], AiplStage.INTERESTED, 0),
        ([(B.VIEW, 91), (B.IMPRESSION, 1)], AiplStage.AWARE, 89),
        ([(B.VIEW, 91)], AiplStage.NONE, None),
        ([(B.REFUND, 5)], AiplStage.INTERESTED, 85),
        ([(B.ORDER, 365)], AiplStage.PURCHASED, 0),
        ([(B.ORDER, 366), (B.VIEW, 4)], AiplStage.INTERESTED, 86),
        ([(B.ORDER, 366)], AiplStage.NONE, None),
        ([(B.ORDER, 5), (B.VIEW, 1)], AiplStage.PURCHASED, 360),
        ([(B.ORDER, 390), (B.ORDER, 365)], AiplStage.LOYAL, 0),
        ([(B.ORDER, 390), (B.ORDER, 366)], AiplStage.NONE, None),
    ],
)
def test_aipl_is_the_last_step_taken(told: Sequence[Told], stage: AiplStage, until_days: float | None) -> None:
    found = aipl(record(*told).bonds.get("acme", NO_BOND), NOW_US)
    assert found.stage is stage
    assert found.until_us == (None if until_days is None else NOW_US + until_days * DAY_US + 1)
    assert stage is AiplStage.NONE or steps.RULES[stage]


@pytest.mark.parametrize(
    ("told", "rung", "until_days"),
    [
        ([(B.POST, 30), (B.SHARE, 1)], "creator", 0),
        ([(B.POST, 31), (B.SHARE, 1)], "conversationalist", 29),
        ([(B.COMMENT, 2), (B.FAVOURITE, 1)], "critic", 28),
        ([(B.FAVOURITE, 2), (B.FOLLOW, 1)], "collector", 28),
        ([(B.FOLLOW, 2), (B.VIEW, 1)], "joiner", 28),
        ([(B.VIEW, 9), (B.SEARCH, 4), (B.CLICK, 30)], "spectator", 26),
        ([(B.CLICK, 30)], "spectator", 0),
        ([(B.CLICK, 31), (B.POST, 300)], "inactive", None),
        ([(B.CART, 1), (B.ORDER, 1)], "inactive", None),
        ([(B.IMPRESSION, 1)], "inactive", None),
    ],
)
def test_ladder_is_the_highest_rung_of_late(told: Sequence[Told], rung: str, until_days: float | None) -> None:
    found = ladder(record(*told), NOW_US)
    assert found is not None
    assert found.rung == rung
    assert found.until_us == (None if until_days is None else NOW_US + until_days * DAY_US + 1)
    assert rungs.RULES[rung]


def test_ladder_says_nothing_where_no_operation_is_known() -> None:
    assert ladder(EMPTY, NOW_US) is None
    assert ladder(record((B.ORDER, 1), (B.COUPON, 1)), NOW_US) is None


@pytest.mark.parametrize(
    ("told", "stage", "until_days"),
    [
        ([(B.VIEW, 1)], "acquisition", None),
        ([(B.VIEW, 900)], "acquisition", None),
        ([(B.REFUND, 3)], "acquisition", None),
        ([(B.VIEW, 3), (B.CART, 365)], "activation", 0),
        ([(B.VIEW, 3), (B.CART, 366)], "acquisition", None),
        ([(B.COUPON, 3)], "activation", 362),
        ([(B.VIEW, 10), (B.VIEW, 3)], "retention", 362),
        ([(B.VIEW, 9), (B.VIEW, 3)], "acquisition", None),
        ([(B.IMPRESSION, 10), (B.VIEW, 3)], "acquisition", None),
        ([(B.VIEW, 380), (B.VIEW, 365)], "retention", 0),
        ([(B.VIEW, 380), (B.VIEW, 366)], "acquisition", None),
        ([(B.VIEW, 10), (B.VIEW, 3), (B.ORDER, 365)], "revenue", 0),
        ([(B.ORDER, 366)], "acquisition", None),
        ([(B.ORDER, 1), (B.SHARE, 364)], "referral", 1),
        ([(B.ORDER, 1), (B.SHARE, 366)], "revenue", 364),
    ],
)
def test_aarrr_is_the_furthest_stage_reached(told: Sequence[Told], stage: str, until_days: float | None) -> None:
    found = aarrr(record(*told), NOW_US)
    assert found is not None
    assert found.stage == stage
    assert found.until_us == (None if until_days is None else NOW_US + until_days * DAY_US + 1)
    assert funnel.RULES[stage]


def test_aarrr_says_nothing_of_whom_advertisements_only_reached() -> None:
    assert aarrr(EMPTY, NOW_US) is None
    assert aarrr(record((B.IMPRESSION, 1)), NOW_US) is None


histories = st.lists(
    st.tuples(st.sampled_from(list(Behaviour)), st.integers(0, 500).map(float)), min_size=1, max_size=12
)


@given(histories, st.integers(0, 500 * DAY_US))
def test_stages_change_at_the_instant_foretold_and_at_none_before(told: list[Told], later_us: int) -> None:
    made, now_us = record(*told), NOW_US + later_us
    for judge in (rung_of, stage_of, aipl_of):
        value, until_us = judge(made, now_us)
        assert until_us is None or until_us > now_us
        assert judge(made, (until_us or now_us + 9_999 * DAY_US) - 1)[0] == value
        assert until_us is None or judge(made, until_us)[0] != value


Judged = tuple[object, int | None]


def rung_of(made: Record, now_us: int) -> Judged:
    found = ladder(made, now_us)
    return (found.rung, found.until_us) if found else (None, None)


def stage_of(made: Record, now_us: int) -> Judged:
    found = aarrr(made, now_us)
    return (found.stage, found.until_us) if found else (None, None)


def aipl_of(made: Record, now_us: int) -> Judged:
    found = aipl(made.bonds["acme"], now_us)
    return found.stage, found.until_us


@pytest.mark.parametrize(
    ("reach", "resonance", "tier"),
    [
        (9.0, 0.5, "none"),
        (9.0, 9.0, "none"),
        (10.0, 0.5, "nano"),
        (10.0, 0.0, "nano"),
        (99.0, 9.9, "micro"),
        (100.0, 0.99, "nano"),
        (100.0, 1.0, "micro"),
        (100.0, 10.0, "mid"),
        (1_000.0, 0.0, "micro"),
        (1_000.0, 50.0, "mid"),
        (1_000.0, 100.0, "macro"),
        (10_000.0, 50.0, "mid"),
        (10_000.0, 500.0, "macro"),
        (10_000.0, 5_000.0, "macro"),
        (0.0, 10.0, "micro"),
    ],
)
def test_influence_tier_goes_by_reach_lifted_or_lowered_by_resonance(reach: float, resonance: float, tier: str) -> None:
    found = influence_tier(Influence(1, 1, reach, resonance, NOW_US), NOW_US, NOW_US)
    assert found is not None
    assert found.tier == tier


def test_influence_fades_tier_by_tier() -> None:
    influence = Influence(200, 10, 200.0, 10.0, NOW_US)
    assert influence_tier(Influence(), NOW_US, NOW_US) is None
    now = influence_tier(influence, NOW_US, NOW_US)
    assert now is not None
    assert (now.tier, now.until_us) == ("micro", NOW_US + LONG_HALF_LIFE_US + 1)
    later = influence_tier(influence, NOW_US, NOW_US + LONG_HALF_LIFE_US + 1)
    assert later is not None
    assert later.tier == "nano"
    assert later.reach == pytest.approx(100.0)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 2_000 * DAY_US))
def test_influence_tier_changes_at_the_instant_foretold_and_never_rises_by_time(
    reach: float, resonance: float, later_us: int
) -> None:
    influence = Influence(1, 1, reach, resonance, NOW_US)
    found = influence_tier(influence, NOW_US, NOW_US + later_us)
    assert found is not None
    if found.until_us is None:
        assert found.tier == "none"
        return
    assert found.until_us > NOW_US + later_us
    before = influence_tier(influence, NOW_US, found.until_us - 1)
    after = influence_tier(influence, NOW_US, found.until_us)
    assert before is not None
    assert after is not None
    assert before.tier == found.tier
    assert TIERS.index(after.tier) < TIERS.index(found.tier)


def test_values_of_each_are_distinct_and_floors_grow() -> None:
    assert len({*LADDER_VALUES}) == 7
    assert len({*AARRR_VALUES}) == 5
    assert list(REACH_FLOORS) == sorted(REACH_FLOORS)
