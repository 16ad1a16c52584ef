"""Orders shared among their touches: paths, credits by campaign, tallies, stages of a commission."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.event import DAY_US, HOUR_US, AdFacts, EventType
from bihuan_attribution.domain.model_tally import ModelTally
from bihuan_attribution.domain.order import ItemState, OrderState
from bihuan_attribution.domain.order_path import OrderPath, campaign_credits, order_path, touch_credits
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook
from bihuan_attribution.domain.touch import Touch

START_US = 1_700_000_000_000_000
TYPES = (EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK)
TERMS = TermsBook(
    CampaignTerms(campaign_id, "acme", 1, 0, "CNY", "UTC", "cpc", 0, 0, 0, False, 0, 0, 15 * DAY_US, DAY_US, (), False)
    for campaign_id in "ABC"
)
WEIGHTS = {CreditModel.MARKOV: {"A": 3, "B": 1}, CreditModel.SHAPLEY: {"A": 1, "B": 1}}


def touch(position: int, kind: EventType, token: str, hours: int, person: int = 7, advertiser: str = "acme") -> Touch:
    ad = AdFacts(token, "d", token[0], "cr", "pl", "ag", advertiser, 1, "cpc", 0, "CNY", "")
    return Touch(position, kind, START_US + hours * HOUR_US, START_US, person, ad)


def order(last_click_id: str = "", person: int = 7, click_id: str = "", micros: int = 900) -> OrderState:
    items = {"i": ItemState("i", 1, micros)}
    at_us = START_US + 24 * HOUR_US - 1
    return OrderState(
        "acme", "o", "CNY", at_us, 1, person, click_id, 9, paid=True, last_click_id=last_click_id, items=items
    )


def test_a_path_has_what_joins_and_is_inside_its_window() -> None:
    touches = [
        touch(1, EventType.IMPRESSION, "A1", 0),
        touch(2, EventType.IMPRESSION, "A2", -1),
        touch(3, EventType.CLICK, "A2", -24),
        touch(4, EventType.CLICK, "B1", 25),
        touch(5, EventType.CLICK, "B2", 1, person=8),
        touch(6, EventType.CLICK, "B3", 1, advertiser="rival"),
        touch(7, EventType.CLICK, "C1", 2, person=0),
    ]
    path = order_path(order(click_id="C1"), reversed(touches), TERMS)
    assert [one.position for one in path.touches] == [3, 1, 7]


def test_the_click_that_was_met_stays_and_is_the_last_click_whoever_joins_later() -> None:
    met, later = touch(1, EventType.CLICK, "A1", 1, person=8), touch(2, EventType.CLICK, "B1", 2)
    path = order_path(order(last_click_id="A1"), [met, later], TERMS)
    assert touch_credits(path, CreditModel.LAST_CLICK) == (1_000_000, 0)
    assert touch_credits(path, CreditModel.LAST_TOUCH) == (0, 1_000_000)


def test_an_advertisement_that_was_seen_and_clicked_is_one_touch() -> None:
    touches = [
        touch(1, EventType.IMPRESSION, "A1", 0),
        touch(2, EventType.VIEWABLE, "A1", 0),
        touch(3, EventType.CLICK, "A1", 1),
        touch(4, EventType.VIEWABLE, "B1", 2),
        touch(5, EventType.IMPRESSION, "B1", 2),
    ]
    path = order_path(order(last_click_id="A1"), touches, TERMS)
    assert path.channels == ("A", "B")
    given_ = dict(zip([one.position for one in path.touches], touch_credits(path, CreditModel.LINEAR), strict=True))
    assert {position: ppm for position, ppm in given_.items() if ppm} == {3: 500_000, 4: 500_000}


def test_learned_weights_share_by_campaign() -> None:
    touches = [touch(1, EventType.CLICK, "A1", 1), touch(2, EventType.CLICK, "B1", 2)]
    path = order_path(order(last_click_id="B1"), touches, TERMS)
    assert touch_credits(path, CreditModel.MARKOV, WEIGHTS) == (750_000, 250_000)
    assert touch_credits(path, CreditModel.MARKOV) == (500_000, 500_000)


contacts = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(("A1", "A2", "B1", "B2", "C1")), st.integers(0, 23)),
    max_size=8,
    unique_by=lambda one: one[:2],
)


@given(contacts=contacts)
def test_credits_sum_to_one_or_to_nothing_and_campaigns_get_what_their_touches_get(
    contacts: list[tuple[EventType, str, int]],
) -> None:
    touches = [touch(position, *one) for position, one in enumerate(contacts, 1)]
    clicks = [one for one in touches if one.event_type is EventType.CLICK]
    last = max(clicks, key=lambda one: one.rank).ad.token_id if clicks else ""
    path = order_path(order(last_click_id=last), touches, TERMS)
    by_campaign = campaign_credits(path, list(CreditModel), WEIGHTS)
    for model in CreditModel:
        given_ = touch_credits(path, model, WEIGHTS)
        sums: dict[str, int] = {}
        for one, ppm in zip(path.touches, given_, strict=True):
            sums[one.ad.campaign_id] = sums.get(one.ad.campaign_id, 0) + ppm
        assert sum(given_) == (1_000_000 if (clicks if model is CreditModel.LAST_CLICK else touches) else 0)
        assert {c: ppm for (m, c), ppm in by_campaign.items() if m is model} == {c: p for c, p in sums.items() if p}


@given(paths=st.lists(st.tuples(contacts, st.integers(0, 10**9)), max_size=6))
def test_values_of_a_model_sum_to_those_of_the_orders_it_credits(
    paths: list[tuple[list[tuple[EventType, str, int]], int]],
) -> None:
    tally = ModelTally(list(CreditModel), WEIGHTS)
    credited = 0
    for contacts_, micros in paths:
        touches = [touch(position, *one) for position, one in enumerate(contacts_, 1)]
        tally.add(order_path(order(micros=micros), touches, TERMS))
        credited += micros if contacts_ else 0
    lines = tally.lines()
    assert not [one for one in lines if one.model is CreditModel.LAST_CLICK]
    for model in set(CreditModel) - {CreditModel.LAST_CLICK}:
        held = [one for one in lines if one.model is model]
        assert sum(one.credited_value_micros for one in held) == credited
        assert sum(one.credited_orders_ppm for one in held) == 1_000_000 * tally.order_count
    assert tally.order_count + tally.unattributed_count == len(paths)


def test_currencies_are_tallied_apart() -> None:
    tally = ModelTally([CreditModel.LINEAR])
    for currency in ("CNY", "USD"):
        held = replace(order(), currency=currency)
        tally.add(OrderPath(held, (touch(1, EventType.CLICK, "A1", 1),), None))
    assert [(one.currency, one.credited_value_micros) for one in tally.lines()] == [("CNY", 900), ("USD", 900)]
