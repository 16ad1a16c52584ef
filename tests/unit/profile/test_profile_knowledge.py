"""What binds a person to brands, what it owns, and its influence: sums that no order of arrival can change."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Behaviour, Event, Item, echo_of
from bihuan_profile.domain.bond import MAX_BONDS
from bihuan_profile.domain.decay import long_factor
from bihuan_profile.domain.governance import Consent, DataClass, Purpose, permit_by_consent
from bihuan_profile.domain.influence import NO_INFLUENCE, Influence
from bihuan_profile.domain.joining import merged
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.domain.view import release
from bihuan_profile.domain.wardrobe import MAX_OWNED, Kind, Owned, preferred_sizes, replacement_us
from bihuan_profile.profile_store.blob import decode, encode
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.ingesting import Submission
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
BRANDS = ("acme", "zed")

items = st.builds(
    Item, st.sampled_from(["", "shoes", "tea"]), st.sampled_from(["", *BRANDS]), st.sampled_from(["", "42", "43"]),
    st.integers(1, 5),
)  # fmt: skip
events = st.lists(
    st.builds(
        Event,
        st.just(1),
        st.uuids().map(str),
        st.sampled_from(Behaviour),
        st.integers(NOW_US - 10**13, NOW_US),
        st.lists(st.sampled_from(["brand:acme", "brand:zed", "brand:", "category:tea"]), max_size=4).map(tuple),
        items=st.lists(items, max_size=3).map(tuple),
        echo=st.booleans(),
    ),
    max_size=12,
)


def same(one: Record, other: Record) -> None:
    assert one.wardrobe == other.wardrobe
    assert one.orders.first_time_us == other.orders.first_time_us
    assert one.bonds.keys() == other.bonds.keys()
    for brand, bond in one.bonds.items():
        assert replace(bond, warmth=0.0) == replace(other.bonds[brand], warmth=0.0)
        assert bond.warmth == pytest.approx(other.bonds[brand].warmth, rel=1e-9, abs=1e-12)
    mine, theirs = one.influence, other.influence
    assert (mine.reach, mine.resonance, mine.last_us) == (theirs.reach, theirs.resonance, theirs.last_us)
    assert mine.reach_decayed == pytest.approx(theirs.reach_decayed, rel=1e-9)
    assert mine.resonance_decayed == pytest.approx(theirs.resonance_decayed, rel=1e-9)


@given(events, st.randoms(use_true_random=False), st.integers(0, 12))
def test_any_order_and_batching_gives_the_same_knowledge(told: list[Event], shuffle: random.Random, cut: int) -> None:
    shuffled = list(told)
    shuffle.shuffle(shuffled)
    same(fold(fold(EMPTY, shuffled[:cut]), shuffled[cut:]), fold(EMPTY, told))


@given(events, events)
def test_knowledge_of_merged_persons_is_that_of_one(mine: list[Event], theirs: list[Event]) -> None:
    same(merged(fold(EMPTY, mine), 1, fold(EMPTY, theirs), 2), fold(EMPTY, mine + theirs))


@given(events)
def test_stored_knowledge_is_read_back_exactly(told: list[Event]) -> None:
    record = fold(EMPTY, told)
    assert decode(encode(record, 7)).record == record


@given(events)
def test_bond_equals_the_direct_sum(told: list[Event]) -> None:
    record = fold(EMPTY, told)
    for brand in BRANDS:
        about = [event for event in told if brand in event.brands and not event.echo]
        dealings = [event for event in about if event.behaviour is not Behaviour.IMPRESSION]
        orders = [event.time_us for event in about if event.behaviour is Behaviour.ORDER]
        if not about:
            assert brand not in record.bonds
            continue
        bond = record.bonds[brand]
        seen = [event.time_us for event in about if event.behaviour is Behaviour.IMPRESSION]
        assert bond.seen_us == max(seen, default=0)
        assert (bond.first_us, bond.last_us, bond.dealings) == (
            min((event.time_us for event in dealings), default=0),
            max((event.time_us for event in dealings), default=0),
            len(dealings),
        )
        assert (bond.orders, bond.first_order_us, bond.last_order_us) == (
            len(orders), min(orders, default=0), max(orders, default=0),
        )  # fmt: skip
        expected = sum(INTEREST_WEIGHTS[e.behaviour] * long_factor(record.reference_us - e.time_us) for e in dealings)
        assert bond.warmth == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(events)
def test_wardrobe_is_what_was_bought_less_what_was_returned(told: list[Event]) -> None:
    record = fold(EMPTY, told)
    expected: dict[Kind, int] = {}
    for event in told:
        sign = {Behaviour.ORDER: 1, Behaviour.REFUND: -1}.get(event.behaviour, 0)
        for item in event.items:
            if sign and item.category and not event.echo:
                kind = Kind(item.category, item.brand, item.size)
                expected[kind] = expected.get(kind, 0) + sign * item.quantity
    assert {kind: held.quantity for kind, held in record.wardrobe.items()} == expected


def test_an_item_names_its_brand_as_a_tag_does() -> None:
    event = Event(1, "a", Behaviour.ORDER, NOW_US, ("brand:acme", "brand:"), items=(Item("shoes", "zed"), Item("x")))
    assert event.brands == ("acme", "zed")


def test_brands_touched_least_lately_go_first() -> None:
    told = [Event(1, f"{n}", Behaviour.VIEW, NOW_US + n, (f"brand:b{n:03}",)) for n in range(MAX_BONDS + 3)]
    assert set(fold(EMPTY, told).bonds) == {f"b{n:03}" for n in range(3, MAX_BONDS + 3)}


def test_kinds_bought_least_lately_go_first() -> None:
    told = [Event(1, f"{n}", Behaviour.ORDER, NOW_US + n, items=(Item(f"c{n:03}"),)) for n in range(MAX_OWNED + 2)]
    assert {kind.category for kind in fold(EMPTY, told).wardrobe} == {f"c{n:03}" for n in range(2, MAX_OWNED + 2)}


def test_preferred_size_is_the_one_taken_most_and_of_equals_the_later() -> None:
    owned = {
        Kind("shoes", "acme", "42"): Owned(2, 1, 1, 1),
        Kind("shoes", "zed", "42"): Owned(1, 1, 2, 2),
        Kind("shoes", "", "43"): Owned(1, 1, 9, 9),
        Kind("shirt", "", "M"): Owned(1, 1, 1, 1),
        Kind("shirt", "", "L"): Owned(1, 1, 3, 3),
        Kind("tea"): Owned(5, 5, 1, 1),
        Kind("hat", "", "S"): Owned(-1, 0, 0, 0),
    }
    assert [(one.category, one.size, one.share) for one in preferred_sizes(owned)] == [
        ("shirt", "L", 0.5),
        ("shoes", "42", 0.75),
    ]


def test_replacement_comes_after_the_own_interval_else_the_usual_one() -> None:
    assert replacement_us(Owned(3, 3, 0, 20 * DAY_US), 5 * DAY_US) == 30 * DAY_US
    assert replacement_us(Owned(1, 1, DAY_US, DAY_US), 5 * DAY_US) == 6 * DAY_US
    assert replacement_us(Owned(1, 1, DAY_US, DAY_US), None) is None


def test_owned_things_are_told_to_advertising_under_transaction_consent_only() -> None:
    told = (
        Event(1, "a", Behaviour.ORDER, NOW_US, items=(Item("shoes", "acme", "42", 2), Item("tea"))),
        Event(1, "b", Behaviour.REFUND, NOW_US + 1, items=(Item("tea"),)),
    )
    record = fold(EMPTY, told)
    for purpose in Purpose:
        for data_class in DataClass:
            permit = permit_by_consent(purpose, Consent(frozenset({purpose}), frozenset({data_class})))
            view = release(record, permit, NOW_US, packaged_taxonomy())
            allowed = data_class is DataClass.TRANSACTION and purpose is not Purpose.MEASUREMENT
            assert [one.kind for one in view.owned] == ([Kind("shoes", "acme", "42")] if allowed else [])
            assert [one.size for one in view.sizes] == (["42"] if allowed else [])


def test_what_others_do_with_a_shared_thing_is_reach_or_resonance_and_nothing_else() -> None:
    view = Event(1, "v", Behaviour.VIEW, NOW_US, ("brand:acme",))
    record = fold(EMPTY, [echo_of(view, 2), echo_of(replace(view, key="o", behaviour=Behaviour.ORDER), 2)])
    assert record.influence == Influence(1, 1, 1.0, 1.0, NOW_US)
    assert replace(record, influence=NO_INFLUENCE, reference_us=0) == EMPTY


@pytest.mark.parametrize(
    ("shared_by", "classes", "told"),
    [(2, {DataClass.SOCIAL}, True), (2, {DataClass.OPERATION}, False), (0, {DataClass.SOCIAL}, False),
     (1, {DataClass.SOCIAL}, False)],
)  # fmt: skip
def test_a_sharer_is_told_only_under_social_consent_and_not_by_itself(
    shared_by: int, classes: set[DataClass], *, told: bool
) -> None:
    consent = Consent(frozenset({Purpose.TARGETING}), frozenset(classes))
    submission = Submission(Event(1, "v", Behaviour.VIEW, NOW_US), consent, shared_by)
    assert (submission.echo is not None) == told
