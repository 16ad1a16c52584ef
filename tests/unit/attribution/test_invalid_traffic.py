"""Rules of invalid traffic: the edge of every limit, and that the sequence of arrival decides nothing."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.billing import Billing
from bihuan_attribution.domain.books import Books
from bihuan_attribution.domain.event import HOUR_US, AdFacts, EventType, LoggedEvent, Signals
from bihuan_attribution.domain.invalid_traffic import (
    ADDRESS_RATE,
    DATA_CENTRE,
    INVALID_IMPRESSION,
    KNOWN_BOT,
    PERSON_RATE,
    PREFETCH,
    REPEATED_CLICK,
    TOO_FAST,
    Impression,
    TrafficLimits,
    general_reason,
    spans_of,
)
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook
from bihuan_attribution.settings import AttributionSettings

NOW_US = 1_700_000_000_000_000 - 1_700_000_000_000_000 % HOUR_US
AD = AdFacts("t1", "d1", "c", "cr", "pl", "ag", "acme", 1, "cpc", 3, "CNY", "r1")
CLICK = LoggedEvent(1, EventType.CLICK, "t1", NOW_US, NOW_US, 7, AD, None)
EARLIER = Impression(NOW_US - 200_000)
LIMITS = TrafficLimits()
TERMS = CampaignTerms(
    campaign_id="c",
    advertiser_id="acme",
    version=1,
    effective_time_us=0,
    currency="CNY",
    time_zone="UTC",
    pricing_model="cpc",
    bid_micros=3,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=HOUR_US,
    view_window_us=0,
    caps=(),
    stopped=False,
)


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (Signals(), ""),
        (Signals(known_bot=True), KNOWN_BOT),
        (Signals(prefetch=True), PREFETCH),
        (Signals(data_centre=True), DATA_CENTRE),
        (Signals(known_bot=True, prefetch=True, data_centre=True), KNOWN_BOT),
        (Signals(prefetch=True, data_centre=True), PREFETCH),
        (Signals(address_hash=5), ""),
    ],
)
@pytest.mark.parametrize("event_type", [EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK, EventType.LANDING])
def test_signals_give_one_reason_to_every_kind_of_event(signals: Signals, reason: str, event_type: EventType) -> None:
    event = replace(CLICK, event_type=event_type, signals=signals)
    assert general_reason(event, EARLIER, LIMITS) == reason


@pytest.mark.parametrize(
    ("after_us", "reason"),
    [(0, TOO_FAST), (199_999, TOO_FAST), (200_000, ""), (-199_999, TOO_FAST), (-200_000, "")],
)
def test_a_click_is_too_fast_within_200_ms_of_its_impression(after_us: int, reason: str) -> None:
    impression = Impression(NOW_US - after_us)
    assert general_reason(CLICK, impression, LIMITS) == reason
    assert general_reason(CLICK, impression, replace(LIMITS, min_click_delay_us=0)) == ""
    for event_type in (EventType.VIEWABLE, EventType.LANDING):
        assert general_reason(replace(CLICK, event_type=event_type), impression, LIMITS) == ""


def test_what_follows_an_invalid_impression_is_invalid() -> None:
    impression = Impression(NOW_US - HOUR_US, KNOWN_BOT)
    for event_type in (EventType.VIEWABLE, EventType.CLICK, EventType.LANDING):
        assert general_reason(replace(CLICK, event_type=event_type), impression, LIMITS) == INVALID_IMPRESSION


def test_spans_are_of_whom_is_known_and_of_limits_that_are_set() -> None:
    event = replace(CLICK, signals=Signals(address_hash=255))
    hour = NOW_US // HOUR_US
    assert [(one.rule, one.name, one.limit) for one in spans_of(event, AD, LIMITS)] == [
        (REPEATED_CLICK, f"7:cr:{hour}", 1),
        (PERSON_RATE, f"7:{hour}", 20),
        (ADDRESS_RATE, f"ff:pl:{hour}", 30),
    ]
    assert [one.rule for one in spans_of(CLICK, AD, LIMITS)] == [REPEATED_CLICK, PERSON_RATE]
    assert [one.rule for one in spans_of(replace(event, person_id=0), AD, LIMITS)] == [ADDRESS_RATE]
    assert list(spans_of(event, AD, TrafficLimits(0, 0, 0, 0))) == []


def test_a_span_is_a_clock_hour() -> None:
    names = [
        {span.name for span in spans_of(replace(CLICK, receive_time_us=NOW_US + after_us), AD, LIMITS)}
        for after_us in (0, HOUR_US - 1, HOUR_US)
    ]
    assert names[0] == names[1]
    assert not names[0] & names[2]


def test_settings_give_the_limits() -> None:
    assert AttributionSettings().traffic_limits == LIMITS
    told = AttributionSettings(
        min_click_delay_ms=5, clicks_per_creative_hour=6, clicks_per_person_hour=7, clicks_per_address_hour=8
    )
    assert told.traffic_limits == TrafficLimits(5_000, 6, 7, 8)


def pair(number: int, at_us: int, person: int, address: int, creative: int) -> list[LoggedEvent]:
    """An impression and a click of its token, a second apart."""
    ad = replace(AD, token_id=f"t{number}", creative_id=f"cr{creative}", placement_id=f"pl{creative}")
    shown = replace(
        CLICK, event_id=ad.token_id, ad=ad, person_id=person, signals=Signals(address_hash=address),
        receive_time_us=at_us, event_time_us=at_us, event_type=EventType.IMPRESSION,
    )  # fmt: skip
    clicked_us = at_us + 1_000_000
    return [shown, replace(shown, event_type=EventType.CLICK, receive_time_us=clicked_us, event_time_us=clicked_us)]


def books() -> Books:
    book = TermsBook()
    book.add(TERMS)
    return Books(terms=book)


def billed(batches: Sequence[Sequence[LoggedEvent]], limits: TrafficLimits) -> dict[str, int]:
    """What each event costs in the end, by cause; every batch begins with what a store would know by then."""
    held, net, position = books(), dict[str, int](), 0
    for batch in batches:
        billing = Billing(held, limits)
        billing.take([replace(event, position=position + index) for index, event in enumerate(batch, 1)])
        position += len(batch)
        for entry in billing.effects.entries:
            nanos = sum(one.amount_nanos for one in entry.postings if one.account.startswith("advertiser:"))
            net[entry.cause_id] = net.get(entry.cause_id, 0) + nanos
        clicks = [one for one in billing.effects.touches if one.event_type is EventType.CLICK]
        known = {**held.rivals, **{one.ad.token_id: one for one in clicks}}
        freed = billing.effects.excess
        held.rivals = {token: replace(one, excess=freed.get(one.position, one.excess)) for token, one in known.items()}
    assert min(net.values(), default=0) >= 0
    return {cause: nanos for cause, nanos in net.items() if nanos}


LIMIT_SETS = st.builds(TrafficLimits, st.just(200_000), st.integers(0, 2), st.integers(0, 3), st.integers(0, 3))
VISITS = st.lists(
    st.tuples(st.integers(0, 2 * 3_600), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), max_size=14
)


@given(VISITS, LIMIT_SETS, st.data())
def test_the_same_clicks_are_billed_whatever_the_sequence_and_the_batches(
    visits: list[tuple[int, int, int, int]], limits: TrafficLimits, data: st.DataObject
) -> None:
    in_time = [
        event
        for number, (second, person, address, creative) in enumerate(visits)
        for event in pair(number, NOW_US + second * 1_000_000, person, address, creative)
    ]
    shuffled = data.draw(st.permutations(in_time))
    size = data.draw(st.integers(1, 10))
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert billed(batches, limits) == billed([in_time], limits)


def test_the_first_clicks_of_a_span_are_billed_and_no_more() -> None:
    events = [event for number in range(5) for event in pair(number, NOW_US + number * 60_000_000, 7, 0, 0)]
    assert billed([events], LIMITS) == {"click/t0": 3_000}
    assert billed([events[::-1]], replace(LIMITS, clicks_per_creative=2)) == {"click/t0": 3_000, "click/t1": 3_000}
    assert len(billed([events], replace(LIMITS, clicks_per_creative=0))) == 5
