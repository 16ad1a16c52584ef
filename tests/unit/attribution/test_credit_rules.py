"""Sharing one order among its touches: exact sums, no dependence on the input's order, the rules themselves."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.credit.apportion import apportion
from bihuan_attribution.domain.credit.credit_model import DEFAULT_MODEL, CreditModel
from bihuan_attribution.domain.credit.half_life import FIXED_BITS, decayed
from bihuan_attribution.domain.credit.order_credits import HALF_LIFE_US, WHOLE_PPM, credits_of
from bihuan_attribution.domain.credit.path_touch import PathTouch, strongest
from bihuan_attribution.domain.event import DAY_US, EventType
from bihuan_shared.errors import InvalidArgument

CONTACTS = (EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK)
ORDER_US = 100 * DAY_US
MODELS = st.sampled_from(CreditModel)
WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**12))


@st.composite
def paths(draw: st.DrawFn, types: tuple[EventType, ...] = CONTACTS, least: int = 1) -> list[PathTouch]:
    """Touches up to the order, often at the same instant, each of its own event id, in any order."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.one_of(st.integers(0, ORDER_US), st.just(ORDER_US - DAY_US)),
                st.sampled_from(types),
                st.sampled_from("abcd"),
            ),
            min_size=least,
            max_size=12,
        )
    )
    ids = draw(st.permutations(range(len(drawn))))
    return [
        PathTouch(time_us, f"e{event_id:02}", kind, channel, channel)
        for event_id, (time_us, kind, channel) in zip(ids, drawn, strict=True)
    ]


def ranked(touches: list[PathTouch], given: tuple[int, ...]) -> list[int]:
    pairs = sorted(zip(touches, given, strict=True), key=lambda pair: (pair[0].touch_time_us, pair[0].event_id))
    return [credit for _, credit in pairs]


@given(MODELS, paths(), WEIGHTS)
def test_one_order_is_shared_out_whole(model: CreditModel, touches: list[PathTouch], weights: dict[str, int]) -> None:
    given_ = credits_of(model, touches, ORDER_US, weights)
    clicked = any(touch.event_type is EventType.CLICK for touch in touches)
    assert len(given_) == len(touches)
    assert min(given_) >= 0
    assert sum(given_) == (0 if model is CreditModel.LAST_CLICK and not clicked else WHOLE_PPM)


@given(MODELS, paths(), WEIGHTS, st.data())
def test_the_order_of_the_input_does_not_matter(
    model: CreditModel, touches: list[PathTouch], weights: dict[str, int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(touches))
    straight = dict(zip(touches, credits_of(model, touches, ORDER_US, weights), strict=True))
    assert dict(zip(shuffled, credits_of(model, shuffled, ORDER_US, weights), strict=True)) == straight


@given(MODELS, paths(), WEIGHTS)
def test_what_is_no_contact_or_comes_after_the_order_changes_nothing(
    model: CreditModel, touches: list[PathTouch], weights: dict[str, int]
) -> None:
    late = PathTouch(ORDER_US + 1, "z", EventType.CLICK, "a", "a")
    landing = PathTouch(ORDER_US, "z", EventType.LANDING, "a", "a")
    alone = credits_of(model, touches, ORDER_US, weights)
    assert credits_of(model, [late, *touches, landing], ORDER_US, weights) == (0, *alone, 0)


def test_no_touch_is_no_credit() -> None:
    assert all(credits_of(model, [], ORDER_US) == () for model in CreditModel)


@given(paths(), st.integers(1, 40 * DAY_US))
def test_time_decay_gives_a_later_touch_no_less(touches: list[PathTouch], half_life_us: int) -> None:
    found = ranked(touches, credits_of(CreditModel.TIME_DECAY, touches, ORDER_US, half_life_us=half_life_us))
    assert found == sorted(found)


@given(paths(least=2), st.integers(HALF_LIFE_US, 400 * DAY_US))
def test_time_decay_follows_the_formula(touches: list[PathTouch], half_life_us: int) -> None:
    found = credits_of(CreditModel.TIME_DECAY, touches, ORDER_US, half_life_us=half_life_us)
    kept = [2.0 ** (-(ORDER_US - touch.touch_time_us) / half_life_us) for touch in touches]
    assert found == pytest.approx([WHOLE_PPM * one / sum(kept) for one in kept], abs=1.001)


def test_time_decay_halves_exactly_a_half_life_earlier() -> None:
    touches = [PathTouch(ORDER_US - days * DAY_US, "e", EventType.CLICK, "a", "a") for days in (0, 7, 14, 21)]
    assert credits_of(CreditModel.TIME_DECAY, touches[:2], ORDER_US) == (666_667, 333_333)
    assert credits_of(CreditModel.TIME_DECAY, touches, ORDER_US) == (533_333, 266_667, 133_333, 66_667)


@given(paths())
def test_linear_is_equal_within_a_millionth(touches: list[PathTouch]) -> None:
    found = credits_of(CreditModel.LINEAR, touches, ORDER_US)
    assert max(found) - min(found) <= 1
    assert ranked(touches, found) == sorted(found)


@given(paths())
def test_position_based_keeps_forty_for_each_end(touches: list[PathTouch]) -> None:
    found = ranked(touches, credits_of(CreditModel.POSITION_BASED, touches, ORDER_US))
    ends = {1: [1_000_000], 2: [500_000, 500_000]}.get(len(found), [400_000, 400_000])
    assert [found[0], found[-1]][: len(ends)] == ends
    assert sum(found[1:-1]) == (200_000 if len(found) > 2 else 0)


@given(paths())
def test_first_and_last_go_by_time_and_event_id(touches: list[PathTouch]) -> None:
    first = min(touches, key=lambda touch: (touch.touch_time_us, touch.event_id))
    last = max(touches, key=lambda touch: (touch.touch_time_us, touch.event_id))
    clicks = [touch for touch in touches if touch.event_type is EventType.CLICK]
    click = max(clicks, key=lambda touch: (touch.touch_time_us, touch.event_id), default=None)
    for model, winner in (
        (CreditModel.FIRST_TOUCH, first),
        (CreditModel.LAST_TOUCH, last),
        (CreditModel.LAST_CLICK, click),
    ):
        assert credits_of(model, touches, ORDER_US) == tuple(WHOLE_PPM * (touch is winner) for touch in touches)


@given(st.sampled_from([CreditModel.MARKOV, CreditModel.SHAPLEY]), paths(), WEIGHTS)
def test_learned_weights_share_by_channel_and_equally_inside_it(
    model: CreditModel, touches: list[PathTouch], weights: dict[str, int]
) -> None:
    found = credits_of(model, touches, ORDER_US, weights)
    whole = sum(weights.get(channel, 0) for channel in {touch.channel for touch in touches})
    if not whole:
        assert found == credits_of(CreditModel.LINEAR, touches, ORDER_US)
        return
    for channel in {touch.channel for touch in touches}:
        parts = [credit for credit, touch in zip(found, touches, strict=True) if touch.channel == channel]
        exact = Fraction(WHOLE_PPM * weights.get(channel, 0), whole * len(parts))
        assert all(abs(part - exact) < 1 for part in parts)


def test_learned_models_without_weights_share_equally() -> None:
    touches = [PathTouch(at_us, f"e{at_us}", EventType.CLICK, "a", "a") for at_us in range(4)]
    assert credits_of(CreditModel.MARKOV, touches, ORDER_US) == (250_000,) * 4


@pytest.mark.parametrize(("half_life_us", "weights", "field"), [(0, {}, "half_life_us"), (1, {"a": -1}, "weights")])
def test_wrong_figures_are_refused(half_life_us: int, weights: dict[str, int], field: str) -> None:
    touch = PathTouch(0, "e", EventType.CLICK, "a", "a")
    with pytest.raises(InvalidArgument) as raised:
        credits_of(CreditModel.SHAPLEY, [touch], ORDER_US, weights, half_life_us=half_life_us)
    assert raised.value.violations[0].field == field


def test_reports_default_to_the_last_click() -> None:
    assert DEFAULT_MODEL is CreditModel.LAST_CLICK
    assert [model for model in CreditModel if model.learns] == [CreditModel.MARKOV, CreditModel.SHAPLEY]


@given(st.lists(st.sampled_from(EventType), min_size=1))
def test_an_advertisement_seen_and_clicked_is_one_touch(types: list[EventType]) -> None:
    touches = [PathTouch(int(kind), "e", kind, "a", "a") for kind in types]
    contacts = [touch for touch in touches if touch.event_type in CONTACTS]
    assert strongest(touches) == tuple(sorted(set(contacts), key=lambda touch: touch.event_type)[-1:])


@given(paths())
def test_advertisements_of_their_own_are_all_kept_in_order(touches: list[PathTouch]) -> None:
    assert strongest(touches) == tuple(sorted(touches, key=lambda touch: (touch.touch_time_us, touch.event_id)))
    doubled = [replace(touch, event_type=EventType.IMPRESSION) for touch in touches]
    assert {touch.event_id for touch in strongest([*touches, *doubled])} == {touch.event_id for touch in touches}
    assert len(strongest([*touches, *doubled])) == len(touches)


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**30)))
def test_apportioned_parts_are_exact_and_within_one_of_their_quota(whole: int, shares: list[int]) -> None:
    parts = apportion(whole, shares)
    assert sum(parts) == (whole if any(shares) else 0)
    total = sum(shares) or 1
    for part, share in zip(parts, shares, strict=True):
        assert abs(part - Fraction(whole * share, total)) < 1
    by_share = sorted(zip(shares, parts, strict=True))
    assert [part for _, part in by_share] == sorted(parts)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**8))
def test_decay_never_grows_with_age(one: int, other: int, half_life: int) -> None:
    younger, older = sorted((one, other))
    assert decayed(younger, half_life) >= decayed(older, half_life)


@given(st.integers(0, 10**9), st.integers(1, 10**8))
def test_decay_is_a_power_of_one_half(age: int, half_life: int) -> None:
    assert decayed(age, half_life) / 2**FIXED_BITS == pytest.approx(2.0 ** -(age / half_life), rel=1e-12, abs=2**-90)


def test_decay_is_exact_at_whole_half_lives() -> None:
    assert [decayed(age, 3) for age in (0, 3, 6, 3 * FIXED_BITS)] == [2**96, 2**95, 2**94, 1]
    assert decayed(3 * (FIXED_BITS + 1), 3) == 0
    assert decayed(1, 2) == 56_022_770_974_786_139_918_731_938_227
