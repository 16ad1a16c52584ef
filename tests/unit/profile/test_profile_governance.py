"""What purpose and consent let out, cell by cell."""

from dataclasses import replace
from itertools import combinations, product

import pytest

from bihuan_profile.domain.aipl import AiplStage
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item
from bihuan_profile.domain.governance import (
    NO_CONSENT,
    Consent,
    DataClass,
    Purpose,
    permit_by_consent,
    permit_for_batch_work,
)
from bihuan_profile.domain.record import EMPTY, Fact, FactValue, Record, fold, with_facts
from bihuan_profile.domain.relation import RelationStage
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
HELD = 16
ALL_AGREED = Consent(frozenset(Purpose), frozenset(DataClass))


@pytest.fixture
def record() -> Record:
    """
    An attribute a class, told or made by a rule, interests of both sources, activity, an order, a relation.

    Nobody is in a segment but new, active.
    """
    facts: dict[str, FactValue] = {
        "age": "25-34",
        "income": "35-49K",
        "app_user": True,
        "average_order": 12.5,
    }
    known, _ = with_facts(EMPTY, [(name, Fact(value, NOW_US)) for name, value in facts.items()])
    return fold(
        known,
        [
            Event(1, "a", Behaviour.SEARCH, NOW_US, ("category:tea",)),
            Event(
                1,
                "b",
                Behaviour.ORDER,
                NOW_US,
                ("category:tea", "category:cheese"),
                Amount("USD", 7),
                items=(Item(brand="acme"),),
            ),
            Event(1, "c", Behaviour.VIEW, NOW_US, echo=True),
        ],
    )


def told(record: Record, purpose: Purpose, consent: Consent) -> ProfileView:
    return release(record, permit_by_consent(purpose, consent), NOW_US, packaged_taxonomy())


@pytest.mark.parametrize(("purpose", "data_class"), list(product(Purpose, DataClass)))
def test_only_the_consented_class_is_told_and_only_for_its_purposes(
    record: Record, purpose: Purpose, data_class: DataClass
) -> None:
    view = told(record, purpose, Consent(frozenset({purpose}), frozenset({data_class})))
    advertising = purpose is not Purpose.MEASUREMENT
    expected = {
        attribute
        for attribute, attribute_class, purposes in (
            ("age", DataClass.REGISTRATION, {Purpose.TARGETING, Purpose.PERSONALISATION, Purpose.INSIGHT}),
            ("income", DataClass.REGISTRATION, {Purpose.TARGETING, Purpose.INSIGHT}),
            ("app_user", DataClass.OPERATION, {Purpose.TARGETING, Purpose.PERSONALISATION, Purpose.INSIGHT}),
            ("average_order", DataClass.TRANSACTION, set(Purpose)),
            ("ladder", DataClass.OPERATION, {Purpose.TARGETING, Purpose.PERSONALISATION, Purpose.INSIGHT}),
            ("influence_tier", DataClass.SOCIAL, {Purpose.TARGETING, Purpose.INSIGHT}),
        )
        if attribute_class is data_class and purpose in purposes
    }
    assert {attribute.name for attribute in view.attributes} == expected
    interests = {
        DataClass.OPERATION: {"category:tea": 0.3},
        DataClass.TRANSACTION: {"category:tea": 1.0, "category:cheese": 1.0},
    }
    assert {i.tag: pytest.approx(i.long_term) for i in view.interests} == (
        interests.get(data_class, {}) if advertising else {}
    )
    activities = {DataClass.OPERATION: [Behaviour.SEARCH], DataClass.TRANSACTION: [Behaviour.ORDER]}
    assert [a.behaviour for a in view.activities] == activities.get(data_class, [])
    assert view.segments == (("new", "active_30d") if data_class is DataClass.OPERATION and advertising else ())
    rfm_allowed = data_class is DataClass.TRANSACTION and purpose is not Purpose.PERSONALISATION
    assert (view.rfm is not None) is rfm_allowed
    told_count = len(view.attributes) + len(view.interests) + len(view.activities) + len(view.segments) + bool(view.rfm)
    # 4 attributes told and 3 made, 1 + 2 interests, 2 activities, 2 segments, RFM, a relation.
    assert told_count + view.withheld_count == HELD
    assert view.relations == ()


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("classes", [set(some) for size in range(5) for some in combinations(DataClass, size)])
def test_what_rests_on_two_classes_is_told_only_where_both_are_allowed(
    record: Record, purpose: Purpose, classes: set[DataClass]
) -> None:
    view = told(record, purpose, Consent(frozenset({purpose}), frozenset(classes)))
    both = {DataClass.OPERATION, DataClass.TRANSACTION} <= classes and purpose is not Purpose.MEASUREMENT
    assert [(one.brand, one.stage, one.aipl) for one in view.relations] == (
        [("acme", RelationStage.STRONG, AiplStage.PURCHASED)] if both else []
    )
    assert {one.name: one.fact.value for one in view.attributes if one.derived} == (
        ({"aarrr_stage": "revenue"} if both else {})
        | ({"ladder": "spectator"} if DataClass.OPERATION in classes and purpose is not Purpose.MEASUREMENT else {})
        | (
            {"influence_tier": "none"}
            if DataClass.SOCIAL in classes and purpose in {Purpose.TARGETING, Purpose.INSIGHT}
            else {}
        )
    )


@pytest.mark.parametrize("purpose", list(Purpose))
def test_absent_consent_allows_nothing_and_counts_all(record: Record, purpose: Purpose) -> None:
    view = told(record, purpose, NO_CONSENT)
    assert (view.attributes, view.interests, view.activities, view.segments, view.rfm) == ((), (), (), (), None)
    assert view.relations == ()
    assert view.withheld_count == HELD
    assert not view.empty


@pytest.mark.parametrize("purpose", list(Purpose))
def test_consent_to_another_purpose_allows_nothing(record: Record, purpose: Purpose) -> None:
    others = Consent(frozenset(Purpose) - {purpose}, frozenset(DataClass))
    assert told(record, purpose, others).withheld_count == HELD


def test_interests_of_both_sources_add_up_where_both_are_allowed(record: Record) -> None:
    view = told(record, Purpose.TARGETING, ALL_AGREED)
    assert {i.tag: pytest.approx(i.long_term) for i in view.interests} == {"category:tea": 1.3, "category:cheese": 1.0}
    assert [i.tag for i in view.interests] == ["category:tea", "category:cheese"]


def test_batch_work_never_sees_the_social_class(record: Record) -> None:
    view = release(record, permit_for_batch_work(Purpose.TARGETING), NOW_US, packaged_taxonomy())
    assert {a.name for a in view.attributes} == {
        "age",
        "income",
        "app_user",
        "average_order",
        "ladder",
        "aarrr_stage",
    }
    assert view.withheld_count == 1


def test_attribute_unknown_to_the_taxonomy_is_withheld() -> None:
    record, _ = with_facts(EMPTY, [("shoe_colour", Fact("red", NOW_US))])
    view = told(record, Purpose.TARGETING, ALL_AGREED)
    assert (view.attributes, view.withheld_count) == ((), 1)


def test_attribute_that_a_rule_makes_cannot_be_set_and_what_was_set_before_is_withheld() -> None:
    record, _ = with_facts(EMPTY, [("ladder", Fact("creator", NOW_US))])
    view = told(record, Purpose.TARGETING, ALL_AGREED)
    assert (view.attributes, view.withheld_count) == ((), 1)


def test_relations_are_told_closest_first_and_none_is_left_out() -> None:
    history: dict[str, list[tuple[Behaviour, int]]] = {
        "asleep": [(Behaviour.ORDER, 100)],
        "seen": [(Behaviour.IMPRESSION, 1)],
        "looked": [(Behaviour.VIEW, 5)],
        "looked_later": [(Behaviour.VIEW, 4)],
        "bought": [(Behaviour.ORDER, 20)],
        "for_long": [(Behaviour.ORDER, 300), (Behaviour.ORDER, 200), (Behaviour.ORDER, 50)],
        "forgotten": [(Behaviour.VIEW, 399), (Behaviour.IMPRESSION, 91)],
        "gone": [(Behaviour.IMPRESSION, 91)],
    }
    record = fold(
        EMPTY,
        [
            Event(1, f"{brand}{at}", behaviour, NOW_US - days * DAY_US, (f"brand:{brand}",))
            for brand, done in history.items()
            for at, (behaviour, days) in enumerate(done)
        ],
    )
    later_us = NOW_US + 2 * DAY_US
    view = release(record, permit_by_consent(Purpose.TARGETING, ALL_AGREED), later_us, packaged_taxonomy())
    assert [one.brand for one in view.relations] == ["for_long", "bought", "looked_later", "looked", "seen", "asleep"]
    withheld = release(
        record, permit_by_consent(Purpose.TARGETING, NO_CONSENT), later_us, packaged_taxonomy()
    ).withheld_count
    without = release(
        replace(record, bonds={}), permit_by_consent(Purpose.TARGETING, NO_CONSENT), later_us, packaged_taxonomy()
    )
    assert withheld - without.withheld_count == len(view.relations)


def test_nothing_known_is_empty() -> None:
    view = told(EMPTY, Purpose.TARGETING, ALL_AGREED)
    assert view == ProfileView()
    assert view.empty


def orders(*ages_days: int) -> Record:
    times = [NOW_US - days * DAY_US for days in ages_days]
    return fold(EMPTY, [Event(1, f"o{i}", Behaviour.ORDER, time_us) for i, time_us in enumerate(times)])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (orders(1), set()),
        (orders(1, 2, 3), {"loyal"}),
        (orders(90, 100, 110), {"loyal"}),
        (orders(91, 100, 110), {"lapsed"}),
        (orders(200), {"lapsed"}),
        (fold(EMPTY, [Event(1, "a", Behaviour.VIEW, NOW_US - 29 * DAY_US)]), {"new", "active_30d"}),
        (fold(EMPTY, [Event(1, "a", Behaviour.VIEW, NOW_US - 30 * DAY_US)]), {"active_30d"}),
        (fold(EMPTY, [Event(1, "a", Behaviour.VIEW, NOW_US - 31 * DAY_US)]), set()),
        (fold(EMPTY, [Event(1, "a", Behaviour.IMPRESSION, NOW_US)]), {"new"}),
    ],
)
def test_segments_follow_their_rules(record: Record, expected: set[str]) -> None:
    assert set(told(record, Purpose.TARGETING, ALL_AGREED).segments) == expected


@pytest.mark.parametrize(
    ("name", "value", "member"),
    [
        ("shoe_colour", "red", "name"),
        ("interest", "category:tea", "name"),
        ("age", 25.0, "number"),
        ("age", "twelve", "text"),
        ("income", "", "text"),
        ("ladder", "creator", "name"),
        ("aarrr_stage", "revenue", "name"),
        ("influence_tier", "macro", "name"),
        ("birth_year", "1980", "text"),
        ("birth_year", True, "flag"),
        ("birth_year", float("nan"), "number"),
        ("birth_year", float("inf"), "number"),
        ("newsletter", 1.0, "number"),
    ],
)
def test_wrong_attribute_names_the_member_at_fault(name: str, value: FactValue, member: str) -> None:
    fault = packaged_taxonomy().fault(name, value)
    assert fault is not None
    assert fault[0] == member


@pytest.mark.parametrize(("name", "value"), [("age", "65+"), ("birth_year", 1980.0), ("newsletter", False)])
def test_right_attribute_has_no_fault(name: str, value: FactValue) -> None:
    assert packaged_taxonomy().fault(name, value) is None


def test_every_tag_has_a_purpose_and_a_description() -> None:
    assert all(tag.purposes and tag.description for tag in packaged_taxonomy().tags)
    assert {tag.data_class for tag in packaged_taxonomy().tags} == set(DataClass)


def test_later_fact_wins_whatever_the_order() -> None:
    early, late = Fact("25-34", NOW_US), Fact("35-44", NOW_US + 1)
    for facts in ([early, late], [late, early]):
        record = EMPTY
        for fact in facts:
            record, _ = with_facts(record, [("age", fact)])
        assert record.facts["age"] == late


def test_changed_count_is_of_values() -> None:
    record, first = with_facts(
        EMPTY, [("age", Fact("25-34", NOW_US)), ("newsletter", Fact(value=True, time_us=NOW_US))]
    )
    record, repeat = with_facts(record, [("age", Fact("25-34", NOW_US + 1))])
    record, other = with_facts(record, [("age", Fact("35-44", NOW_US + 1))])
    _, stale = with_facts(record, [("age", Fact("45-54", NOW_US))])
    assert (first, repeat, other, stale) == (2, 0, 1, 0)
