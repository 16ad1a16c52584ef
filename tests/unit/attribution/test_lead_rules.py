"""Scoring a lead: what counts, how often, by which rules, and that only the set of what happened matters."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.accounts import LeadPoints, LeadRules
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.lead import MAX_REFERENCES, Lead, LeadKey, LeadRoute, Reason, Step, revised, score

RULES = LeadRules(
    20,
    (LeadPoints("click", 1, 3), LeadPoints("form_submit", 15, 1), LeadPoints("landing", 2, 1), LeadPoints("x", 4, 2)),
)
KEY = LeadKey("acme", 7)


def click(name: str, at: int, campaign: str = "c1") -> Step:
    return Step(EventType.CLICK, name, at, campaign_id=campaign, creative_id=f"cr-{campaign}")


def landing(name: str, at: int) -> Step:
    return Step(EventType.LANDING, name, at)


def engaged(name: str, event_id: str, at: int) -> Step:
    return Step(EventType.ENGAGEMENT, event_id, at, name)


def left(event_id: str, at: int, reference: str = "") -> Step:
    return Step(EventType.LEAD, event_id, at, "form_submit", reference)


def test_points_are_explained_action_by_action_in_the_order_of_the_rules() -> None:
    steps = [click("a", 1), click("b", 2), landing("b", 3), engaged("x", "e1", 4), left("l1", 5, "crm-1")]
    found = score(steps, lambda _: RULES)
    assert found is not None
    assert found.reasons == (
        Reason("click", 2, 2), Reason("form_submit", 1, 15), Reason("landing", 1, 2), Reason("x", 1, 4),
    )  # fmt: skip
    assert (found.points, found.threshold, found.route) == (23, 20, LeadRoute.SALES)
    assert (found.first_time_us, found.last_time_us, found.references) == (4, 5, ("crm-1",))


def test_an_action_counts_at_most_so_often_and_is_counted_for_what_it_was() -> None:
    found = score([click(f"c{n}", n) for n in range(9)] + [engaged("x", "e", 9)], lambda _: RULES)
    assert found is not None
    assert found.reasons == (Reason("click", 9, 3), Reason("x", 1, 4))


@pytest.mark.parametrize(("extra", "route"), [(0, LeadRoute.NURTURE), (1, LeadRoute.SALES)])
def test_the_threshold_itself_goes_to_sales(extra: int, route: LeadRoute) -> None:
    steps = [left("l", 1), engaged("x", "e", 2), *[click(f"c{n}", 3) for n in range(extra)]]
    found = score(steps, lambda _: RULES)
    assert found is not None
    assert (found.points, found.route) == (19 + extra, route)


def test_clicks_and_landings_alone_open_no_lead() -> None:
    assert score([click("a", 1), landing("a", 2)], lambda _: RULES) is None
    assert score([], lambda _: RULES) is None


def test_an_action_without_points_opens_a_lead_of_none() -> None:
    found = score([engaged("unknown", "e", 1)], lambda _: RULES)
    assert found is not None
    assert (found.points, found.reasons, found.route, found.campaign_id) == (0, (), LeadRoute.NURTURE, "")


def test_the_rules_are_those_of_when_the_newest_thing_happened() -> None:
    later = LeadRules(1, (LeadPoints("x", 100, 1),))
    steps = [engaged("x", "e", 1)]
    found = score([*steps, click("c", 10)], lambda at: later if at >= 10 else RULES)
    assert found is not None
    assert (found.points, found.threshold) == (100, 1)
    assert score(steps, lambda at: RULES if at >= 10 else None) is None


def test_the_campaign_is_that_of_the_last_click_before_the_first_action() -> None:
    steps = [click("a", 1, "old"), click("b", 5, "last"), engaged("x", "e", 5), click("c", 6, "later")]
    found = score(steps, lambda _: RULES)
    assert found is not None
    assert (found.campaign_id, found.creative_id) == ("last", "cr-last")
    without = score([engaged("x", "e", 5), click("c", 6, "later")], lambda _: RULES)
    assert without is not None
    assert without.campaign_id == ""


def test_references_are_shown_once_and_the_newest_of_many() -> None:
    steps = [left(f"l{n:03}", n, f"r{n // 2}") for n in range(2 * MAX_REFERENCES + 10)]
    found = score(steps, lambda _: RULES)
    assert found is not None
    assert found.references == tuple(f"r{n}" for n in range(5, MAX_REFERENCES + 5))


def test_a_revision_is_made_by_points_route_or_references_and_nothing_else() -> None:
    first = score([left("l", 1, "r")], lambda _: RULES)
    assert first is not None
    held = Lead("lead-1", 3, KEY, first)
    same_news = score([left("l", 1, "r"), engaged("unknown", "e", 2)], lambda _: RULES)
    assert same_news is not None
    assert (revised(held, KEY, same_news).revision, revised(held, KEY, same_news).score.last_time_us) == (3, 2)
    more = score([left("l", 1, "r"), engaged("x", "e", 2)], lambda _: RULES)
    named = score([left("l", 1, "r"), left("m", 2, "s")], lambda _: RULES)
    assert more is not None
    assert named is not None
    assert [revised(held, KEY, one).revision for one in (more, named)] == [4, 4]


steps_drawn = st.lists(
    st.one_of(
        st.builds(click, st.sampled_from("abcde"), st.integers(0, 9), st.sampled_from(("c1", "c2"))),
        st.builds(landing, st.sampled_from("abcde"), st.integers(0, 9)),
        st.builds(engaged, st.sampled_from(("x", "click", "other")), st.sampled_from("efg"), st.integers(0, 9)),
        st.builds(left, st.sampled_from("lmn"), st.integers(0, 9), st.sampled_from(("", "r1", "r2"))),
    ),
    max_size=30,
)


@given(steps=steps_drawn, seed=st.integers())
def test_neither_sequence_nor_repetition_matters(steps: list[Step], seed: int) -> None:
    shuffled = [*steps, *steps[: len(steps) // 2]]
    random.Random(seed).shuffle(shuffled)
    assert score(shuffled, lambda _: RULES) == score(steps, lambda _: RULES)


@given(steps=steps_drawn)
def test_reasons_add_up_to_the_points_and_stay_below_their_bounds(steps: list[Step]) -> None:
    found = score(steps, lambda _: RULES)
    if found is None:
        assert not any(step.opens for step in steps)
        return
    assert sum(one.points for one in found.reasons) == found.points
    most = {one.action: one.points * one.max_count for one in RULES.points}
    assert all(one.points <= most[one.action] for one in found.reasons)
