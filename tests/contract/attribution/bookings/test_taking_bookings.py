"""Bookings are taken in once, in time, and listed with what became of their dates."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from bihuan_attribution.domain.booking import Booking, BookingDay, DayState
from bihuan_attribution.domain.booking_day import close_time_us
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US, FixedClock
from bihuan_shared.errors import AlreadyExists, FailedPrecondition
from tests.contract.attribution.bookings.conftest import RATE, Shop, query, stored, terms_of


async def test_a_booking_is_taken_once_and_another_content_is_refused(shop: Shop) -> None:
    booking = shop.bid()
    assert [await shop.put(booking), await shop.put(booking)] == [1, 0]
    with pytest.raises(AlreadyExists) as refused:
        await shop.put(replace(booking, day_rate_micros=1))
    assert refused.value.reason == "CONTENT_CONFLICT"
    # A booking that is known stays known when its bids have closed.
    shop.set_time("2026-03-09T00:00:00Z")
    assert await shop.put(booking) == 0
    cancelled = replace(booking, cancel_time_us=shop.world.clock.now_us())
    assert [await shop.put(cancelled), await shop.put(cancelled), await shop.put(booking)] == [1, 0, 0]


async def test_bookings_are_taken_in_all_or_none(shop: Shop) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await shop.put(shop.bid("b1"), shop.bid("b2", campaign_id="unknown"))
    assert refused.value.violations[0].field == "bookings[1].campaign_id"
    with pytest.raises(FailedPrecondition) as closed:
        await shop.put(shop.bid("b3", "2026-03-01"))
    assert closed.value.violations[0].field == "bookings[0].start_date"
    assert await shop.states() == {}


async def test_a_campaign_and_its_booking_may_come_together(shop: Shop) -> None:
    fresh = terms_of("acme", shop.terms, campaign_id="fresh")
    batch = TermsBatch([fresh], bookings=[shop.bid(campaign_id="fresh")], take_time_us=shop.world.clock.now_us())
    assert await shop.world.terms.put(batch) == 2


async def test_a_bid_that_comes_while_its_date_is_awarded_is_refused_or_counts(shop: Shop) -> None:
    """Whoever is first: no bid for a date is taken in after the date was awarded."""
    await shop.put(shop.bid("b1"))
    shop.set_time("2026-03-07T09:59:59Z")
    late = [shop.rival(f"r{n}", day_rate_micros=RATE + n) for n in range(1, 7)]
    early_us = shop.world.clock.now_us()
    closed = FixedClock(close_time_us(date(2026, 3, 8)))

    async def bid(booking: Booking) -> bool:
        try:
            await shop.world.terms.put(TermsBatch(bookings=[booking], take_time_us=early_us))
        except FailedPrecondition:
            return False
        return True

    taken, _ = await asyncio.gather(asyncio.gather(*(bid(one) for one in late)), shop.days.award_next(closed.now_us()))
    states = await shop.states()
    counted = {name for name, yes in zip((one.booking_id for one in late), taken, strict=True) if yes}
    assert set(states) == {"b1/2026-03-08", *(f"{name}/2026-03-08" for name in counted)}
    assert sorted(states.values()).count("WON") == 1


async def test_pages_of_days_join_up_over_what_is_awarded_and_what_is_open(shop: Shop) -> None:
    await shop.put(
        shop.bid("b1", "2026-03-06", "2026-03-12"),
        shop.bid("b2", "2026-03-08", "2026-03-09", placement_id="side"),
        shop.rival("b3", start="2026-03-07", end="2026-03-10", day_rate_micros=1),
    )
    await shop.put(replace(await stored(shop, "b3"), cancel_time_us=shop.world.clock.now_us() + 8 * DAY_US))
    shop.set_time("2026-03-08T12:00:00Z")
    await shop.keep()
    whole = await shop.listing.days(query("2026-03-01", "2026-03-31"))
    assert [(one.date, one.booking_id) for one in whole] == sorted((one.date, one.booking_id) for one in whole)
    assert len(whole) == 13
    paged: list[BookingDay] = []
    after: tuple[str, ...] = ()
    while page := await shop.listing.days(query("2026-03-01", "2026-03-31", limit=2, after=after)):
        paged += page
        after = (page[-1].date, page[-1].booking_id)
    assert paged == whole
    assert {one.state for one in whole if one.date > "2026-03-09"} == {DayState.OPEN, DayState.CANCELLED}
    assert set(await shop.states(advertiser_id="rival")) == {f"b3/2026-03-{day:02}" for day in range(7, 11)}
    assert set(await shop.states(booking_id="b2")) == {"b2/2026-03-08", "b2/2026-03-09"}
    running = await shop.states(states=frozenset({DayState.WON, DayState.CHARGED}))
    assert running == {
        "b1/2026-03-06": "CHARGED",
        "b1/2026-03-07": "CHARGED",
        "b1/2026-03-08": "CHARGED",
        "b2/2026-03-08": "CHARGED",
        "b1/2026-03-09": "WON",
        "b2/2026-03-09": "WON",
    }
    assert set(await shop.states(states=frozenset({DayState.OPEN}))) == {
        cause for cause, state in (await shop.states()).items() if state == "OPEN"
    }
