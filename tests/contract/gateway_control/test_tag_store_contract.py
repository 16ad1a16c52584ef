"""The store of private tags, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import AdvertiserSpec, Kind
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.tag_store import SqlTags
from bihuan_gateway.control.tags import PutOutcome, TagSpec
from bihuan_shared.errors import AlreadyExists, FailedPrecondition
from bihuan_shared.sql import Database

RECEIPT = Receipt("me", "k", "f")


def tag(name: str = "acme.vip", **changes: Any) -> TagSpec:
    return TagSpec.model_validate(
        {"name": name, "type": "number", "data_class": "transaction", "purposes": ["targeting"], **changes}
    )


@pytest.fixture
async def tags(database_url: str) -> AsyncIterator[SqlTags]:
    """A store of the tags of `acme` and `rival`, who have none."""
    database = await Database.open(database_url, METADATA, schema=SCHEMA)
    for name in ("acme", "rival"):
        spec = AdvertiserSpec(display_name="A", currency="USD")
        await SqlControlStore(database).create(Resource(Kind.ADVERTISERS, name, name, "", 1, 1, 1, spec), None)
    yield SqlTags(database)
    await database.close()


async def test_what_is_put_is_found_with_a_version_that_grows_with_changes(tags: SqlTags) -> None:
    rich = tag("acme.tier", type="text", values=("金", "b"), display_names={"zh": "等级"}, half_life_days=1.25)
    assert await tags.put("acme", [tag(), rich], None, 1) == PutOutcome((tag(), rich), 2)
    found = await tags.of("acme")
    assert (found.version, found.tags) == (1, (rich, tag()))
    assert (await tags.put("acme", [rich], None, 2)).changed_count == 0
    assert (await tags.of("acme")).version == 1
    assert (await tags.put("acme", [tag(description="other")], None, 3)).changed_count == 1
    assert (await tags.of("acme")).version == 2
    assert (await tags.of("rival")).tags == ()


async def test_a_refused_call_leaves_nothing(tags: SqlTags) -> None:
    await tags.put("acme", [tag()], None, 1)
    with pytest.raises(FailedPrecondition):
        await tags.put("acme", [tag("acme.new"), tag(type="flag")], RECEIPT, 2)
    assert [one.name for one in (await tags.of("acme")).tags] == ["acme.vip"]
    assert (await tags.put("acme", [tag("acme.new")], RECEIPT, 3)).changed_count == 1


async def test_a_receipt_answers_what_it_made(tags: SqlTags) -> None:
    first = await tags.put("acme", [tag()], RECEIPT, 1)
    await tags.put("acme", [tag(description="other")], None, 2)
    assert await tags.put("acme", [tag()], RECEIPT, 3) == first
    with pytest.raises(AlreadyExists):
        await tags.put("acme", [tag()], Receipt("me", "k", "another"), 4)


async def test_writers_at_once_lose_nothing_and_keep_the_bound(tags: SqlTags) -> None:
    await tags.put("acme", [tag(f"acme.t{index}") for index in range(250)], None, 1)
    outcomes = await asyncio.gather(
        *(tags.put("acme", [tag(f"acme.new{index}")], None, 2) for index in range(12)), return_exceptions=True
    )
    assert sum(isinstance(one, PutOutcome) for one in outcomes) == 6
    assert sum(isinstance(one, FailedPrecondition) for one in outcomes) == 6
    assert len((await tags.of("acme")).tags) == 256


async def test_what_was_not_told_in_this_life_of_the_store_waits(tags: SqlTags) -> None:
    await tags.put("acme", [tag()], None, 1)
    await tags.put("rival", [tag("rival.vip")], None, 1)
    acme, rival = await tags.untold("e1", "", 9)
    assert (acme.advertiser_id, acme.tags, rival.advertiser_id) == ("acme", (tag(),), "rival")
    assert [one.advertiser_id for one in await tags.untold("e1", "acme", 9)] == ["rival"]
    assert len(await tags.untold("e1", "", 1)) == 1
    await tags.note_told(acme, "e1")
    assert [one.advertiser_id for one in await tags.untold("e1", "", 9)] == ["rival"]
    assert len(await tags.untold("e2", "", 9)) == 2


async def test_what_changed_while_it_was_told_is_told_again(tags: SqlTags) -> None:
    await tags.put("acme", [tag()], None, 1)
    (before,) = await tags.untold("e1", "", 9)
    await tags.put("acme", [tag(description="other")], None, 2)
    await tags.note_told(before, "e1")
    (after,) = await tags.untold("e1", "", 9)
    assert after.tags[0].description == "other"


async def test_a_deleted_tag_is_gone_and_how_often_is_known(tags: SqlTags) -> None:
    await tags.put("acme", [tag(), tag("acme.other")], None, 1)
    assert await tags.delete("rival", "acme.vip") is False
    assert await tags.delete("acme", "acme.vip") is True
    assert await tags.delete("acme", "acme.vip") is False
    found = await tags.of("acme")
    assert (found.version, [one.name for one in found.tags], found.lives) == (2, ["acme.other"], {"acme.vip": 1})
    assert [one.lives for one in await tags.untold("life", "", 10)] == [{"acme.vip": 1}]
    # Nothing of the old type is told any more.
    await tags.put("acme", [tag(type="flag")], None, 2)
    await tags.delete("acme", "acme.vip")
    assert (await tags.of("acme")).lives == {"acme.vip": 2}


async def test_names_of_deleted_tags_are_bounded(tags: SqlTags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bihuan_gateway.control.tag_store.MAX_DELETED_NAMES", 1)
    await tags.put("acme", [tag(), tag("acme.other")], None, 1)
    await tags.delete("acme", "acme.vip")
    with pytest.raises(FailedPrecondition):
        await tags.delete("acme", "acme.other")
    assert [one.name for one in (await tags.of("acme")).tags] == ["acme.other"]
