"""One suite for the control store and the key store, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.key_store import SqlKeyStore
from bihuan_gateway.control.outbox import SqlTermsOutbox
from bihuan_gateway.control.ports import Query
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import (
    AdGroupSpec,
    AdvertiserSpec,
    CampaignSpec,
    CreativeSpec,
    FrequencyCap,
    Kind,
    Pricing,
)
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.terms import campaign_terms
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from bihuan_shared.sql import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, METADATA, schema=SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> SqlControlStore:
    return SqlControlStore(database)


def advertiser(name: str = "acme") -> Resource:
    spec = AdvertiserSpec(display_name="Acme; DROP TABLE advertisers -- 京东", currency="USD")
    return Resource(Kind.ADVERTISERS, name, name, "", 1, 10, 10, spec)


def campaign(name: str = "c1", display_name: str = "C") -> Resource:
    caps = (FrequencyCap(level="campaign", window="lifetime", max_impressions=1),)
    spec = CampaignSpec(
        advertiser_id="acme",
        display_name=display_name,
        pricing=Pricing(model="cpm", bid_micros=10**12),
        frequency_caps=caps,
    )
    return Resource(Kind.CAMPAIGNS, name, "acme", "acme", 1, 20, 20, spec)


async def test_what_is_created_is_found_as_it_was(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    made = campaign()
    await store.create(made, None)
    assert await store.find(Kind.CAMPAIGNS, "c1") == made
    assert await store.find(Kind.ADVERTISERS, "acme") == advertiser()
    assert await store.find(Kind.CAMPAIGNS, "c2") is None
    assert await store.find_many(Kind.CAMPAIGNS, ["c1", "c2"]) == [made]
    assert await store.find_many(Kind.CAMPAIGNS, []) == []


async def test_taken_id_and_missing_parent_leave_nothing_behind(store: SqlControlStore) -> None:
    made = campaign()
    with pytest.raises(InvalidArgument):
        await store.create(made, Receipt("me", "k", "f"))
    assert await store.find_receipt(Kind.CAMPAIGNS, Receipt("me", "k", "f")) is None
    assert await store.changes(0) == (0, [])
    await store.create(advertiser(), None)
    with pytest.raises(AlreadyExists):
        await store.create(advertiser(), None)
    version, changed = await store.changes(0)
    assert (version, changed) == (1, [advertiser()])


async def test_receipt_answers_what_was_made_as_it_was_made(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    made, receipt = campaign(), Receipt("me", "k", "f")
    await store.create(made, receipt)
    changed = made.changed(campaign(display_name="Later").spec, 30)
    await store.update(changed)
    assert await store.create(campaign("c2"), receipt) == made
    assert await store.find(Kind.CAMPAIGNS, "c2") is None
    assert await store.find_receipt(Kind.CAMPAIGNS, receipt) == made
    with pytest.raises(AlreadyExists):
        await store.create(campaign("c2"), Receipt("me", "k", "other"))
    with pytest.raises(AlreadyExists):
        await store.find_receipt(Kind.ADVERTISERS, receipt)
    assert await store.find_receipt(Kind.CAMPAIGNS, Receipt("you", "k", "other")) is None


async def test_one_receipt_under_concurrent_repeats_makes_one_resource(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    receipt = Receipt("me", "k", "f")
    made = await asyncio.gather(*(store.create(campaign(f"c{number}"), receipt) for number in range(8)))
    assert len({one.id for one in made}) == 1
    assert len((await store.list_page(Kind.CAMPAIGNS, Query(10))).resources) == 1


async def test_of_concurrent_updates_of_one_version_one_wins(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    made = campaign()
    await store.create(made, None)
    nexts = [made.changed(campaign(display_name=f"n{number}").spec, 30) for number in range(6)]
    done = await asyncio.gather(*(store.update(one) for one in nexts), return_exceptions=True)
    assert sum(isinstance(one, Resource) for one in done) == 1
    assert sum(isinstance(one, FailedPrecondition) for one in done) == 5
    found = await store.find(Kind.CAMPAIGNS, "c1")
    assert found is not None
    assert found.version == 2


async def test_changes_are_what_was_written_after_a_version(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    await store.create(campaign(), None)
    first, everything = await store.changes(0)
    assert {one.id for one in everything} == {"acme", "c1"}
    assert await store.changes(first) == (first, [])
    await SqlTermsOutbox(store.database).acknowledge_terms([campaign_terms(campaign(), advertiser())])
    second, changed = await store.changes(first)
    assert second > first
    assert [(one.id, one.terms_acked_version) for one in changed] == [("c1", 1)]


async def test_listing_is_by_id_and_held_to_tenant_and_parent(store: SqlControlStore) -> None:
    for name in ("acme", "zeta"):
        await store.create(advertiser(name), None)
    for name in ("c3", "c1", "c2"):
        await store.create(campaign(name), None)
    first = await store.list_page(Kind.CAMPAIGNS, Query(2))
    assert ([one.id for one in first.resources], first.next_after) == (["c1", "c2"], "c2")
    rest = await store.list_page(Kind.CAMPAIGNS, Query(2, after="c2"))
    assert ([one.id for one in rest.resources], rest.next_after) == (["c3"], "")
    assert (await store.list_page(Kind.CAMPAIGNS, Query(2, advertiser_id="zeta"))).resources == ()
    assert len((await store.list_page(Kind.CAMPAIGNS, Query(5, parent_id="acme"))).resources) == 3
    assert [one.id for one in (await store.list_page(Kind.ADVERTISERS, Query(5, advertiser_id="zeta"))).resources] == [
        "zeta"
    ]


async def test_children_keep_their_parents_and_their_specs(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    await store.create(campaign(), None)
    group = AdGroupSpec(campaign_id="c1", display_name="G", targeting='age > 1 or gender == "f"', keywords=("tea",))
    await store.create(Resource(Kind.AD_GROUPS, "g1", "acme", "c1", 1, 5, 5, group), None)
    creative = CreativeSpec(
        ad_group_id="g1", landing_url="https://a.example/", assets={"title": "茶", "n": [1, 2.5, None]}
    )
    made = Resource(Kind.CREATIVES, "k1", "acme", "g1", 1, 5, 5, creative)
    await store.create(made, None)
    assert await store.find(Kind.CREATIVES, "k1") == made
    with pytest.raises(InvalidArgument):
        await store.create(Resource(Kind.CREATIVES, "k2", "acme", "nowhere", 1, 5, 5, creative), None)


async def test_keys_are_found_by_hash_and_made_once(database: Database, store: SqlControlStore) -> None:
    keys = SqlKeyStore(database)
    await store.create(advertiser(), None)
    holder = Principal("key-1", Role.ADVERTISER, "acme")
    await keys.add_key(holder, secret_sha256="a" * 64, display_name="k", create_time_us=1)
    assert await keys.find_key("a" * 64) == holder
    assert await keys.find_key("b" * 64) is None
    with pytest.raises(AlreadyExists):
        await keys.add_key(holder, secret_sha256="c" * 64, display_name="k", create_time_us=1)


async def test_everything_is_there_after_opening_again(database_url: str) -> None:
    for attempt in range(2):
        database = await Database.open(database_url, METADATA, schema=SCHEMA)
        store = SqlControlStore(database)
        if attempt == 0:
            await store.create(advertiser(), None)
        assert await store.find(Kind.ADVERTISERS, "acme") == advertiser()
        await database.close()


async def test_resources_that_belong_together_are_stored_all_or_none(store: SqlControlStore) -> None:
    await store.create(advertiser(), None)
    spec = AdGroupSpec(campaign_id="c1", display_name="G")
    group = Resource(Kind.AD_GROUPS, "g1", "acme", "c1", 1, 20, 20, spec)
    receipt = Receipt("key", "k", "f")
    assert await store.create_all((campaign(), group), receipt) == group
    assert await store.create_all((campaign("other"), group), receipt) == group
    assert await store.find(Kind.CAMPAIGNS, "other") is None
    with pytest.raises(AlreadyExists):
        await store.create_all((campaign("c2"), group), Receipt("key", "k2", "f"))
    with pytest.raises(AlreadyExists):
        await store.create_all((campaign("c2"), group), Receipt("key", "k", "g"))
    assert await store.find(Kind.CAMPAIGNS, "c2") is None
    assert await store.find_receipt(Kind.AD_GROUPS, Receipt("key", "k2", "f")) is None
