"""One suite for the outbox of terms and for promoters' links, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.link_store import SqlLinkStore
from bihuan_gateway.control.outbox import SqlTermsOutbox
from bihuan_gateway.control.promoter_link import IssuedLink, PromoterLink
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import (
    AdvertiserSpec,
    CampaignSpec,
    CommissionRate,
    Kind,
    PlacementSpec,
    Pricing,
    PromoterSpec,
    PublisherSpec,
)
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.terms import AdvertiserTerms, CampaignTerms, PlacementTerms, campaign_terms
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database

ACME = Resource(
    Kind.ADVERTISERS, "acme", "acme", "", 1, 10, 10, AdvertiserSpec(display_name="A", currency="USD", time_zone="UTC")
)
RATES = (CommissionRate(item_id="tea", rate_ppm=1), CommissionRate(category="café", rate_ppm=2))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, METADATA, schema=SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> SqlControlStore:
    return SqlControlStore(database)


@pytest.fixture
def outbox(database: Database) -> SqlTermsOutbox:
    return SqlTermsOutbox(database)


def campaign(name: str = "c1", display_name: str = "C") -> Resource:
    pricing = Pricing(model="cps", commission_rate_ppm=5, expected_order_micros=6, commission_rates=RATES)
    spec = CampaignSpec(
        advertiser_id="acme", display_name=display_name, pricing=pricing, promoted_items=("tea", "cup"), shop_id="s1"
    )
    return Resource(Kind.CAMPAIGNS, name, "acme", "acme", 1, 20, 20, spec)


def placement(name: str, publisher_id: str | None = None, share_ppm: int | None = None) -> Resource:
    spec = PlacementSpec(publisher_id=publisher_id, revenue_share_ppm=share_ppm, traffic_source="portal")
    return Resource(Kind.PLACEMENTS, name, "", "", 1, 20, 20, spec)


def publisher(share_ppm: int) -> Resource:
    spec = PublisherSpec(display_name="P", revenue_share_ppm=share_ppm)
    return Resource(Kind.PUBLISHERS, "pub", "", "", 1, 10, 10, spec)


async def shares(outbox: SqlTermsOutbox) -> dict[str, int]:
    pending = await outbox.pending_terms(10)
    return {one.placement_id: one.revenue_share_ppm for one in pending if isinstance(one, PlacementTerms)}


async def test_what_is_written_waits_with_accounts_and_placements_before_campaigns(
    store: SqlControlStore, outbox: SqlTermsOutbox
) -> None:
    await store.create(ACME, None)
    await store.create(campaign("a-campaign"), None)
    await store.create(placement("z-place"), None)
    await store.create(publisher(5), None)
    assert isinstance(ACME.spec, AdvertiserSpec)
    assert await outbox.pending_terms(10) == [
        AdvertiserTerms("acme", 1, 10, ACME.spec),
        PlacementTerms("z-place", 3, 20, "", 0, "portal"),
        campaign_terms(campaign("a-campaign"), ACME),
    ]
    assert [one.subject[0] for one in await outbox.pending_terms(2)] == [Kind.ADVERTISERS, Kind.PLACEMENTS]
    assert await outbox.count_pending_terms() == 3


async def test_a_repeated_create_queues_nothing(store: SqlControlStore, outbox: SqlTermsOutbox) -> None:
    receipt = Receipt("me", "k", "f")
    await store.create(ACME, receipt)
    await outbox.acknowledge_terms(await outbox.pending_terms(10))
    await store.create(ACME, receipt)
    assert await outbox.pending_terms(10) == []


async def test_of_concurrent_updates_the_one_that_wins_is_queued(
    store: SqlControlStore, outbox: SqlTermsOutbox
) -> None:
    await store.create(ACME, None)
    await store.create(campaign(), None)
    nexts = [campaign().changed(campaign(display_name=f"n{number}").spec, 30) for number in range(6)]
    await asyncio.gather(*(store.update(one) for one in nexts), return_exceptions=True)
    assert [(one.subject[0], one.version) for one in await outbox.pending_terms(10)] == [
        (Kind.ADVERTISERS, 1),
        (Kind.CAMPAIGNS, 2),
    ]


async def test_acknowledging_older_terms_keeps_the_newer_ones_pending(
    store: SqlControlStore, outbox: SqlTermsOutbox
) -> None:
    await store.create(ACME, None)
    await outbox.acknowledge_terms(await outbox.pending_terms(10))
    await store.create(campaign(), None)
    (older,) = await outbox.pending_terms(10)
    await store.update(campaign().changed(campaign(display_name="n").spec, 30))
    await outbox.acknowledge_terms([older])
    found = await store.find(Kind.CAMPAIGNS, "c1")
    assert found is not None
    assert (found.terms_acked_version, found.terms_acked) == (1, False)
    (newer,) = await outbox.pending_terms(10)
    assert newer.version == 2
    await outbox.acknowledge_terms([newer])
    await outbox.acknowledge_terms([older])
    found = await store.find(Kind.CAMPAIGNS, "c1")
    assert found is not None
    assert found.terms_acked
    assert await outbox.pending_terms(10) == []


async def test_a_publishers_new_share_makes_new_terms_of_its_placements(
    store: SqlControlStore, outbox: SqlTermsOutbox
) -> None:
    await store.create(publisher(100), None)
    await store.create(placement("follows", "pub"), None)
    await store.create(placement("own", "pub", 7), None)
    await store.create(placement("ours"), None)
    assert await shares(outbox) == {"follows": 100, "own": 7, "ours": 0}
    before = await outbox.pending_terms(10)
    await outbox.acknowledge_terms(before)
    await store.update(publisher(100).changed(publisher(250).spec, 40))
    (terms,) = await outbox.pending_terms(10)
    assert isinstance(terms, PlacementTerms)
    assert (terms.placement_id, terms.revenue_share_ppm, terms.effective_time_us) == ("follows", 250, 40)
    assert terms.version > max(one.version for one in before)
    kept = await store.find(Kind.PLACEMENTS, "follows")
    assert kept is not None
    assert kept.version == 1


async def test_a_placement_that_moves_to_an_older_publisher_gets_a_higher_version(
    store: SqlControlStore, outbox: SqlTermsOutbox
) -> None:
    await store.create(publisher(100), None)
    other = PublisherSpec(display_name="O", revenue_share_ppm=300)
    await store.create(Resource(Kind.PUBLISHERS, "other", "", "", 1, 5, 5, other), None)
    await store.create(placement("p", "pub"), None)
    (first,) = await outbox.pending_terms(10)
    await store.update(placement("p", "pub").changed(placement("p", "other").spec, 30))
    (second,) = await outbox.pending_terms(10)
    assert isinstance(second, PlacementTerms)
    assert second.version > first.version
    assert (second.publisher_id, second.revenue_share_ppm) == ("other", 300)


async def test_state_of_before_there_were_such_terms_is_taken_over(database_url: str) -> None:
    """Columns and tables of today are taken away, and what waited then is put where it waited."""
    old = await Database.open(database_url, METADATA, schema=SCHEMA)
    store = SqlControlStore(old)
    await store.create(ACME, None)
    await store.create(campaign(), None)
    await store.create(campaign("c2"), None)
    await store.create(placement("p"), None)
    await SqlTermsOutbox(old).acknowledge_terms([campaign_terms(campaign("c2"), ACME)])

    def go_back(connection: sa.Connection) -> None:
        row = connection.exec_driver_sql("SELECT terms FROM outbox WHERE resource_id = 'c1'").scalar_one()
        insert = sa.text("INSERT INTO terms_outbox (campaign_id, terms_version, terms) VALUES ('c1', 1, :terms)")
        connection.execute(insert, {"terms": str(row).replace('"promoted_items"', '"once"')})
        connection.exec_driver_sql("DROP TABLE outbox")
        for table in ("advertisers", "placements"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN terms_acked_version")

    await old.write(go_back)
    await old.close()
    for _ in range(2):
        database = await Database.open(database_url, METADATA, schema=SCHEMA)
        outbox = SqlTermsOutbox(database)
        await asyncio.gather(outbox.queue_unknown(), outbox.queue_unknown())
        pending = await outbox.pending_terms(10)
        assert [one.subject for one in pending] == [
            (Kind.ADVERTISERS, "acme"),
            (Kind.PLACEMENTS, "p"),
            (Kind.CAMPAIGNS, "c1"),
        ]
        waited = pending[2]
        assert isinstance(waited, CampaignTerms)
        assert (waited.version, waited.promoted_items) == (1, ())
        await database.close()
    database = await Database.open(database_url, METADATA, schema=SCHEMA)
    outbox = SqlTermsOutbox(database)
    await outbox.acknowledge_terms(await outbox.pending_terms(10))
    await outbox.queue_unknown()
    assert await outbox.pending_terms(10) == []
    await database.close()


async def test_a_link_is_given_out_once_under_one_receipt(database: Database, store: SqlControlStore) -> None:
    links = SqlLinkStore(database)
    await store.create(ACME, None)
    await store.create(campaign(), None)
    promoter = PromoterSpec(display_name="Ann")
    await store.create(Resource(Kind.PROMOTERS, "ann", "", "", 1, 1, 1, promoter), Receipt("me", "taken", "f"))
    receipt = Receipt("me", "k", "f")
    assert await links.find_link(receipt) is None
    asked = [
        IssuedLink(PromoterLink(f"l{number}", "ann", "c1", "k1", "微博", 99), f"sealed-{number}", 5)
        for number in range(6)
    ]
    made = await asyncio.gather(*(links.add_link(one, receipt) for one in asked))
    assert len(set(made)) == 1
    assert await links.find_link(receipt) == made[0]
    for other in (Receipt("me", "k", "another body"), Receipt("me", "taken", "f")):
        with pytest.raises(AlreadyExists):
            await links.add_link(asked[0], other)
    with pytest.raises(AlreadyExists):
        await store.create(campaign("c2"), receipt)
