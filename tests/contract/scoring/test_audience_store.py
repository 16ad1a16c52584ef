"""What the audience store promises, on every engine."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bihuan_scoring.audience_store import METADATA, SqlAudienceStore
from bihuan_scoring.domain.audiences import Audience, AudienceState, LookAlikeOf
from bihuan_scoring.domain.versions import VersionCause
from bihuan_shared.sql import Database


def _audience(name: str, advertiser: str = "a1") -> Audience:
    return Audience(name, advertiser, "Tea lovers", "", "00", AudienceState.BUILDING, 5)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlAudienceStore]:
    database = await Database.open(database_url, METADATA, schema="scoring")
    yield SqlAudienceStore(database)
    await database.close()


async def test_first_insert_of_an_id_wins(store: SqlAudienceStore) -> None:
    first = _audience("x")
    assert await store.insert(first) == first
    assert await store.insert(replace(first, definition_sha256="11")) == first
    assert await store.get("x") == first
    assert await store.get("y") is None


async def test_update_changes_only_what_exists(store: SqlAudienceStore) -> None:
    await store.insert(_audience("x"))
    ready = _audience("x").ready(7, VersionCause.BUILT, 9)
    await store.update([ready, _audience("gone").ready(1, VersionCause.BUILT, 9)])
    assert list(await store.all()) == [ready]


async def test_pages_go_by_id_and_by_advertiser(store: SqlAudienceStore) -> None:
    for name, advertiser in (("c", "a1"), ("a", "a1"), ("b", "a2"), ("d", "a1")):
        await store.insert(_audience(name, advertiser))
    assert [each.audience_id for each in await store.page("", "", 10)] == ["a", "b", "c", "d"]
    assert [each.audience_id for each in await store.page("a1", "a", 1)] == ["c"]


async def test_delete_tells_whether_there_was_one(store: SqlAudienceStore) -> None:
    await store.insert(_audience("x"))
    assert await store.delete("x")
    assert not await store.delete("x")


async def test_erasure_is_noted_once_with_what_it_changed(store: SqlAudienceStore) -> None:
    await store.insert(_audience("x"))
    for _ in range(2):
        await store.erase(2**62, [_audience("x").ready(3, VersionCause.BUILT, 9)])
    assert await store.erased() == {2**62}
    found = await store.get("x")
    assert found is not None
    assert found.size == 3


async def test_look_alike_keeps_its_seed_and_evidence_until_it_is_deleted(store: SqlAudienceStore) -> None:
    alike = replace(_audience("x"), look_alike=LookAlikeOf("seed", 0, 0.25, 7))
    assert await store.insert(alike) == alike
    assert await store.insert(replace(alike, look_alike=LookAlikeOf("other", 5))) == alike
    assert await store.evidence("x") == ""
    await store.put_evidence("x", "{}")
    await store.update([alike.ready(3, VersionCause.BUILT, 9)])
    assert (await store.get("x"), await store.evidence("x")) == (alike.ready(3, VersionCause.BUILT, 9), "{}")
    assert await store.delete("x")
    await store.put_evidence("x", "{}")
    assert await store.evidence("x") == ""
