"""Private tags from the gateway's database to the profile service, whose store loses everything."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_gateway.control.audience_hops import TaxonomyHop
from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import AdvertiserSpec, Kind
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.tag_hop import TagHop
from bihuan_gateway.control.tag_relay import TagRelay
from bihuan_gateway.control.tag_store import SqlTags
from bihuan_gateway.control.tags import TagSpec
from bihuan_profile.app import build
from bihuan_profile.settings import Settings
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import FixedClock
from bihuan_shared.redis import open_redis
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server
from bihuan_shared.sql import Database

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

TIER = TagSpec(
    name="acme.tier",
    type="text",
    data_class="transaction",
    purposes=("targeting", "insight"),
    values=("gold", "silver"),
    description="Tier",
    display_names={"en": "Tier", "zh": "等级"},
    retention_days=30,
    half_life_days=1.5,
    iab_audience_id=2,
)


@pytest.fixture
async def profile(redis_url: str, tmp_path: Path) -> AsyncIterator["ProfileServiceAsyncStub"]:
    async with AsyncExitStack() as stack:
        callers = (Credential("gateway", Role.INTERNAL, secret_sha256("inside")),)
        settings = Settings(redis_url=redis_url, callers=callers, clock="system", state_dir=tmp_path, consume=False)
        server = await start_server(await build(settings), settings, FixedClock(0))
        stack.push_async_callback(server.stop, 1.0)
        channel = open_channel(f"127.0.0.1:{server.port}", secret="inside", service="profile")
        stack.push_async_callback(channel.close)
        yield ProfileServiceStub(channel)


@pytest.fixture
async def tags(tmp_path: Path) -> AsyncIterator[SqlTags]:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db", METADATA, schema=SCHEMA)
    spec = AdvertiserSpec(display_name="A", currency="USD")
    await SqlControlStore(database).create(Resource(Kind.ADVERTISERS, "acme", "acme", "", 1, 1, 1, spec), None)
    yield SqlTags(database)
    await database.close()


async def own(profile: "ProfileServiceAsyncStub") -> list[pb.Tag]:
    listed = await profile.ListTags(pb.ListTagsRequest(advertiser_id="acme"))
    return [tag for tag in listed.tags if tag.advertiser_id]


async def test_emptying_the_store_loses_no_private_tag(
    profile: "ProfileServiceAsyncStub", tags: SqlTags, redis_url: str
) -> None:
    relay = TagRelay(tags, TagHop(profile), wait_s=5)
    others = [TIER.model_copy(update={"name": f"acme.t{index}"}) for index in range(255)]
    await tags.put("acme", [TIER, *others], None, 1)
    assert await relay.push() == 0
    before = await own(profile)
    assert len(before) == 256
    (tier,) = [tag for tag in before if tag.name == "acme.tier"]
    assert (tier.type, tier.data_class) == (pb.TAG_TYPE_TEXT, common.DATA_CLASS_TRANSACTION)
    assert (list(tier.values), tier.display_names["zh"], tier.retention_days) == (["gold", "silver"], "等级", 30)
    assert (tier.half_life_days, tier.iab_audience_id, tier.derived) == (1.5, 2, False)
    client = await open_redis(redis_url)
    await client.flushall()
    await client.aclose()
    assert await own(profile) == []
    assert await relay.push() == 0
    assert await own(profile) == before


async def test_platform_is_told_as_profile_declares_it(profile: "ProfileServiceAsyncStub") -> None:
    platform = await TaxonomyHop(profile).platform()
    assert platform.version == packaged_taxonomy().version
    assert [tag.name for tag in platform.tags] == [tag.name for tag in packaged_taxonomy().tags]
    age = platform.tags[0]
    assert (age.type, age.data_class, age.iab_audience_id, age.derived) == ("text", "registration", 2, False)
    assert age.display_names == {"en": "Age range", "zh": "年龄段"}
    assert set(age.purposes) == {"targeting", "personalisation", "insight"}


async def test_a_deleted_tag_ends_at_profile_and_stays_over_when_the_store_was_emptied(
    profile: "ProfileServiceAsyncStub", tags: SqlTags, redis_url: str
) -> None:
    relay = TagRelay(tags, TagHop(profile), wait_s=5)
    await tags.put("acme", [TIER, TIER.model_copy(update={"name": "acme.other"})], None, 1)
    await relay.push()
    await tags.delete("acme", "acme.tier")
    await relay.push()
    assert [tag.name for tag in await own(profile)] == ["acme.other"]
    await tags.put("acme", [TIER], None, 2)
    await relay.push()
    assert {tag.name: tag.life for tag in await own(profile)} == {"acme.other": 0, "acme.tier": 1}
    client = await open_redis(redis_url)
    await client.flushall()
    await client.aclose()
    await relay.push()
    assert {tag.name: tag.life for tag in await own(profile)} == {"acme.other": 0, "acme.tier": 1}
    for name in ("acme.tier", "acme.other"):
        await tags.delete("acme", name)
    await relay.push()
    assert await own(profile) == []
