"""Why a person is where the rules put it: told with the rule, the evidence and the end, and only where it may be."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.explaining import Explanation, explain
from bihuan_profile.domain.governance import Consent, DataClass, Permit, Purpose, permit_by_consent
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
EVERYTHING = Permit(Purpose.TARGETING, frozenset(DataClass))


def happened(behaviour: Behaviour, days: float, brand: str = "acme", *, echo: bool = False) -> Event:
    key = f"{behaviour}{days}{brand}{echo}"
    return Event(1, key, behaviour, NOW_US - round(days * DAY_US), (f"brand:{brand}",), echo=echo)


DORMANT = fold(
    EMPTY,
    [
        happened(Behaviour.ORDER, 300),
        happened(Behaviour.ORDER, 100),
        happened(Behaviour.VIEW, 95),
        happened(Behaviour.IMPRESSION, 2),
        happened(Behaviour.VIEW, 10, "other"),
        happened(Behaviour.VIEW, 1, echo=True),
    ],
)


def explained(record: Record, permit: Permit, now_us: int = NOW_US) -> dict[str, Explanation]:
    return {one.subject: one for one in explain(record, permit, now_us, packaged_taxonomy())[0]}


def test_it_says_why_a_person_is_dormant() -> None:
    found = explained(DORMANT, EVERYTHING)["relation:acme"]
    assert found.value == "dormant"
    assert "90 days" in found.rule
    assert "400 days" in found.rule
    assert "Dwyer" in found.source
    assert found.until_us == NOW_US + 305 * DAY_US + 1
    warmth = found.evidence["warmth"]
    assert isinstance(warmth, float)
    assert warmth == pytest.approx(2 ** (-300 / 30) + 2 ** (-100 / 30) + 0.1 * 2 ** (-95 / 30))
    assert {name: value for name, value in found.evidence.items() if name != "warmth"} == {
        "dealings": 3,
        "first_dealing_time": NOW_US - 300 * DAY_US,
        "last_dealing_time": NOW_US - 95 * DAY_US,
        "orders": 2,
        "first_order_time": NOW_US - 300 * DAY_US,
        "last_order_time": NOW_US - 100 * DAY_US,
        "last_impression_time": NOW_US - 2 * DAY_US,
    }


def test_everything_that_a_rule_says_is_explained() -> None:
    found = explained(DORMANT, EVERYTHING)
    assert {subject: one.value for subject, one in found.items()} == {
        "ladder": "spectator",
        "aarrr_stage": "revenue",
        "influence_tier": "none",
        "segment:active_30d": "active_30d",
        "segment:lapsed": "lapsed",
        "relation:acme": "dormant",
        "aipl:acme": "loyal",
        "relation:other": "weak",
        "aipl:other": "interested",
    }
    assert all(one.rule and one.source and one.evidence for one in found.values())


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("classes", [set(some) for size in range(5) for some in combinations(DataClass, size)])
def test_only_what_may_be_read_is_explained_and_the_rest_is_counted(purpose: Purpose, classes: set[DataClass]) -> None:
    permit = permit_by_consent(purpose, Consent(frozenset({purpose}), frozenset(classes)))
    told, withheld = explain(DORMANT, permit, NOW_US, packaged_taxonomy())
    assert {one.subject: one.value for one in told} == told_by(release(DORMANT, permit, NOW_US, packaged_taxonomy()))
    assert len(told) + withheld == 9


def told_by(view: ProfileView) -> dict[str, str]:
    """What a read tells, as explanations name it."""
    said = {one.name: str(one.fact.value) for one in view.attributes if one.derived}
    said |= {f"segment:{name}": name for name in view.segments}
    said |= {f"relation:{one.brand}": one.stage.name.lower() for one in view.relations}
    return said | {f"aipl:{one.brand}": one.aipl.name.lower() for one in view.relations if one.aipl}


@pytest.mark.parametrize(
    ("name", "history", "until_us"),
    [
        ("new", [happened(Behaviour.VIEW, 29)], NOW_US + DAY_US),
        ("active_30d", [happened(Behaviour.VIEW, 400), happened(Behaviour.CART, 30)], NOW_US + 1),
        ("lapsed", [happened(Behaviour.ORDER, 91)], None),
        ("loyal", [happened(Behaviour.ORDER, days) for days in (300, 200, 90)], NOW_US + 1),
    ],
)
def test_segment_is_explained_with_the_first_instant_at_which_it_ends(
    name: str, history: list[Event], until_us: int | None
) -> None:
    record = fold(EMPTY, history)
    assert explained(record, EVERYTHING)[f"segment:{name}"].until_us == until_us
    if until_us is not None:
        assert f"segment:{name}" in explained(record, EVERYTHING, until_us - 1)
        assert f"segment:{name}" not in explained(record, EVERYTHING, until_us)


events = st.lists(
    st.builds(
        happened,
        st.sampled_from(list(Behaviour)),
        st.integers(0, 450),
        st.sampled_from(["acme", "other"]),
        echo=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda event: event.key,
)


@given(events, st.integers(0, 450 * DAY_US))
def test_explanations_are_what_a_read_tells_and_hold_until_the_instant_they_name(
    history: list[Event], later_us: int
) -> None:
    record, now_us = fold(EMPTY, history), NOW_US + later_us
    found = explained(record, EVERYTHING, now_us)
    assert {subject: one.value for subject, one in found.items()} == told_by(
        release(record, EVERYTHING, now_us, packaged_taxonomy())
    )
    for subject, one in found.items():
        until_us = one.until_us or now_us + 5_000 * DAY_US
        assert explained(record, EVERYTHING, until_us - 1)[subject].value == one.value
        if one.until_us is not None:
            assert one.until_us > now_us
            changed = explained(record, EVERYTHING, until_us).get(subject)
            assert changed is None or changed.value != one.value
