"""The store of bookings, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bihuan_gateway.control.booking_store import SqlBookings
from bihuan_gateway.control.bookings import Booking, BookingSpec
from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.outbox import SqlTermsOutbox
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import AdvertiserSpec, CampaignSpec, Kind, Pricing
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database

SPEC = BookingSpec(
    campaign_id="d1", placement_id="p1", start_date="2026-03-08", end_date="2026-03-09", day_rate_micros=10**15
)
BID = Booking("b1", "acme", "USD", "America/New_York", SPEC, create_time_us=7)
RECEIPT = Receipt("me", "k", "f")


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[SqlControlStore]:
    """A store that holds `acme` and its campaign, whose terms are not acknowledged."""
    database = await Database.open(database_url, METADATA, schema=SCHEMA)
    store = SqlControlStore(database)
    acme = Resource(Kind.ADVERTISERS, "acme", "acme", "", 1, 1, 1, AdvertiserSpec(display_name="A", currency="USD"))
    pricing = Pricing(model="cpd", day_rate_micros=10**15)
    spec = CampaignSpec(advertiser_id="acme", display_name="D", pricing=pricing)
    campaign = Resource(Kind.CAMPAIGNS, "d1", "acme", "acme", 1, 1, 1, spec)
    await store.create(acme, None)
    await store.create(campaign, None)
    yield store
    await database.close()


async def know_terms(control: SqlControlStore) -> None:
    """Attribution has taken all terms."""
    outbox = SqlTermsOutbox(control.database)
    await outbox.acknowledge_terms(await outbox.pending_terms(9))


@pytest.fixture
def bookings(control: SqlControlStore) -> SqlBookings:
    return SqlBookings(control.database)


async def test_what_is_made_is_found_as_it_was(bookings: SqlBookings) -> None:
    assert await bookings.create(BID, RECEIPT) == BID
    assert await bookings.find("b1") == BID
    assert await bookings.find("b2") is None
    assert await bookings.find_receipt(RECEIPT) == BID
    with pytest.raises(AlreadyExists):
        await bookings.create(BID, None)


async def test_a_key_makes_one_booking_for_ever(bookings: SqlBookings) -> None:
    made = await asyncio.gather(*(bookings.create(replace(BID, id=f"b{n}"), RECEIPT) for n in range(6)))
    assert len({one.id for one in made}) == 1
    (held,), _ = await bookings.list_page(size=9, after="", advertiser_id=None, campaign_id=None)
    await bookings.cancel(held.id, 9)
    assert await bookings.find_receipt(RECEIPT) == held
    with pytest.raises(AlreadyExists):
        await bookings.create(replace(BID, id="c"), replace(RECEIPT, fingerprint="g"))
    with pytest.raises(AlreadyExists):
        await bookings.find_receipt(replace(RECEIPT, fingerprint="g"))


async def test_a_taken_id_leaves_no_receipt_behind(bookings: SqlBookings) -> None:
    await bookings.create(BID, None)
    with pytest.raises(AlreadyExists):
        await bookings.create(BID, RECEIPT)
    assert await bookings.find_receipt(RECEIPT) is None


async def test_attribution_is_told_only_of_campaigns_that_it_knows(
    control: SqlControlStore, bookings: SqlBookings
) -> None:
    await bookings.create(BID, None)
    assert (await bookings.untold(9), await bookings.count_untold()) == ([], 1)
    await know_terms(control)
    assert await bookings.untold(9) == [BID]
    await bookings.note_told([BID])
    assert (await bookings.untold(9), await bookings.count_untold()) == ([], 0)
    held = await bookings.find("b1")
    assert held is not None
    assert held.state == "standing"


async def test_what_is_taken_back_while_it_travels_is_told_again(
    control: SqlControlStore, bookings: SqlBookings
) -> None:
    await know_terms(control)
    await bookings.create(BID, None)
    await bookings.cancel("b1", 9)
    await bookings.cancel("b1", 11)
    await bookings.note_told([BID])
    (again,) = await bookings.untold(9)
    assert (again.cancel_time_us, again.state) == (9, "pending")
    await bookings.note_told([again])
    assert await bookings.untold(9) == []


async def test_what_is_refused_is_not_told_again(control: SqlControlStore, bookings: SqlBookings) -> None:
    await know_terms(control)
    await bookings.create(BID, None)
    await bookings.note_refused("b1", "bids have closed")
    assert (await bookings.untold(9), await bookings.count_untold()) == ([], 0)
    held = await bookings.find("b1")
    assert held is not None
    assert (held.state, held.refusal) == ("refused", "bids have closed")


async def test_pages_hold_a_tenants_or_a_campaigns_bookings(bookings: SqlBookings) -> None:
    for name in ("b3", "b1", "b2"):
        await bookings.create(replace(BID, id=name), None)
    page, after = await bookings.list_page(size=2, after="", advertiser_id="acme", campaign_id="d1")
    assert ([one.id for one in page], after) == (["b1", "b2"], "b2")
    page, after = await bookings.list_page(size=2, after=after, advertiser_id="acme", campaign_id=None)
    assert ([one.id for one in page], after) == (["b3"], "")
    assert await bookings.list_page(size=2, after="", advertiser_id="rival", campaign_id=None) == ([], "")
