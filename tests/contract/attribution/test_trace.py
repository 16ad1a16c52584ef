"""From any entry of the ledger to the signed impression."""

# ruff: noqa: S608  # statements are made of this file's own names

from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.use_cases.trace_entry import Trace, trace_entry
from bihuan_shared.errors import NotFound
from bihuan_shared.tokens import KeyRing
from tests.contract.attribution.settled import PRICE_MICROS, Books, mixed_history

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World


async def _trace(books: Books, entry_id: int) -> Trace:
    return await trace_entry(entry_id, books.files, books.world.keys)


async def _entry(books: Books, kind: str, order_id: str = "") -> int:
    where = "WHERE kind = :kind AND order_id = :order"
    return await books.scalar(f"SELECT MIN(entry_id) FROM entries {where}", kind=kind, order=order_id)


def _names(trace: Trace) -> list[str]:
    return [one.stored.event.cause_id for one in trace.events]


async def test_every_entry_of_a_mixed_history_is_followed_without_a_gap(world: "World") -> None:
    books = await mixed_history(world)
    booked = await world.ledger.entries("", "", 0, 1_000)
    for one in booked:
        trace = await _trace(books, one.entry_id)
        assert trace.gaps == (), (one.entry.kind, one.entry.cause_id, trace.gaps)
        if one.entry.cause_type != "event":
            continue
        verified = [
            event.stored.event.ad
            for event in trace.events
            if event.is_verified and event.stored.event.event_type is EventType.IMPRESSION
        ]
        own = [ad for ad in verified if ad is not None and ad.decision_id == one.entry.decision_id]
        assert {ad.campaign_id for ad in own} == {one.entry.campaign_id}, one


async def test_a_charge_shows_its_event_with_token_price_and_decision(world: "World") -> None:
    books = await mixed_history(world)
    trace = await _trace(books, await books.scalar("SELECT entry_id FROM entries WHERE cause_id = 'click/c1'"))
    assert _names(trace) == ["impression/c1", "click/c1"]
    for one in trace.events:
        ad = one.stored.event.ad
        assert one.is_verified
        assert ad is not None
        assert (ad.decision_id, ad.price_micros) == ("d-c1", PRICE_MICROS)
        assert world.keys.open(one.stored.token, one.stored.event.receive_time_us).token_id == "c1"


async def test_a_commission_shows_its_order_from_report_to_touch_and_all_its_entries(world: "World") -> None:
    books = await mixed_history(world)
    trace = await _trace(books, await _entry(books, "commission_payable", "o1"))
    assert {"impression/s1", "click/s1", "order/o1-1", "order_update/o1-2", "refund/o1-3"} <= set(_names(trace))
    assert [one.entry.kind for one in trace.file.related] == ["commission_estimated", "reversal", "reversal"]


async def test_an_order_that_moved_shows_the_click_it_moved_from(world: "World") -> None:
    books = await mixed_history(world)
    trace = await _trace(books, await _entry(books, "commission_estimated", "o3"))
    assert trace.file.booked.entry.campaign_id == "cps-1"
    assert {"click/s2", "click/s3"} <= set(_names(trace))
    assert trace.gaps == ()


async def test_a_rounding_shows_the_entries_of_its_invoice_and_a_payout_what_it_pays(world: "World") -> None:
    books = await mixed_history(world)
    trace = await _trace(books, await _entry(books, "rounding"))
    kinds = {one.entry.kind for one in trace.file.related}
    assert "charge" in kinds
    assert not kinds & {"deposit", "rounding", "commission_estimated"}
    payout = await _trace(books, await _entry(books, "payout"))
    assert {one.entry.order_id for one in payout.file.related} == {"o1"}


async def test_an_order_of_a_promoters_link_ends_at_its_click(world: "World") -> None:
    books = Books(world)
    token = world.token("p1", await books.terms("cps-1"), promoter="pia")
    await world.record(world.beacon("click", token))
    await books.bought("o1", "p1", 50_000_000)
    await world.bill()
    for one in await world.ledger.entries("", "", 0, 10):
        assert (await _trace(books, one.entry_id)).gaps == ()


async def test_a_credit_is_followed_to_the_click_that_it_is_of(world: "World") -> None:
    """A click that comes late puts another one out of its hour; the credit leads to the one that was charged."""
    books = Books(world)
    billing = SqlBilling(world.database, world.clock, TrafficLimits(0, 1, 0, 0))
    early = world.clock.now_us() - 1_000_000
    tokens = [world.token(name, await books.terms("cpc-1")) for name in ("k1", "k2")]
    await world.record(world.beacon("impression", tokens[0]), world.beacon("click", tokens[0]))
    await billing.bill(100)
    await world.record(world.beacon("impression", tokens[1], early), world.beacon("click", tokens[1], early))
    await billing.bill(100)
    trace = await _trace(books, await _entry(books, "ivt_credit"))
    assert trace.gaps == ()
    assert trace.file.corrected is not None
    assert trace.file.corrected.entry.cause_id == "click/k1"
    assert {"impression/k1", "click/k1", "click/k2"} <= set(_names(trace))
    assert (await books.proof()).faults == ()


async def test_an_entry_that_is_not_there_is_not_found(world: "World") -> None:
    with pytest.raises(NotFound):
        await _trace(Books(world), 1)


TAMPERINGS = {
    "the token's key is gone": ("SELECT 1", "does not open"),
    "the price of the log": ("UPDATE events SET price_micros = 1 WHERE event_id = 'c1'", "says something else"),
    "the campaign of the log": ("UPDATE events SET campaign_id = 'x' WHERE event_id = 'c1'", "says something else"),
    "the person of the log": ("UPDATE events SET person_id = 12345 WHERE event_id = 'c1'", "says something else"),
    "the impression": ("DELETE FROM events WHERE event_id = 'c1' AND event_type = 1", "no impression"),
    "the click": ("DELETE FROM events WHERE event_id = 'c1' AND event_type = 3", "the log has no event"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_what_the_token_does_not_bear_out_is_a_gap(world: "World", tampering: str) -> None:
    books = await mixed_history(world)
    statement, expected = TAMPERINGS[tampering]
    if statement != "SELECT 1":
        await books.sql(statement)
    else:
        world.keys = KeyRing({"k2": b"x" * 32})
    trace = await _trace(books, await books.scalar("SELECT entry_id FROM entries WHERE cause_id = 'click/c1'"))
    assert any(expected in gap for gap in trace.gaps), trace.gaps


async def test_an_order_report_that_was_edited_is_a_gap(world: "World") -> None:
    books = await mixed_history(world)
    event = world.order("o1-1", "o1", paid=[1], click_id="s1", person=0)
    await books.sql(
        "UPDATE events SET body = :b WHERE event_id = 'o1-1'", b=event.SerializeToString(deterministic=True)
    )
    trace = await _trace(books, await _entry(books, "commission_estimated", "o1"))
    assert trace.gaps == ("order/o1-1 is not what was committed",)


async def test_operations_that_are_gone_are_gaps(world: "World") -> None:
    books = await mixed_history(world)
    await books.sql("DELETE FROM operations")
    for kind in ("deposit", "payout", "rounding", "ivt_credit"):
        assert "is not on record" in (await _trace(books, await _entry(books, kind))).gaps[0]
