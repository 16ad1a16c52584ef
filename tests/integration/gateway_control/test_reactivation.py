"""A relation that falls asleep feeds the reactivation package: from events over profile and scoring to its members."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.audience_hops import AudienceHop, TaxonomyHop
from bihuan_gateway.control.audience_presets import with_preset
from bihuan_gateway.control.specs import AudienceSpec
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_profile import app as profile
from bihuan_profile.settings import Settings as ProfileSettings
from bihuan_scoring import app as scoring
from bihuan_scoring.settings import Settings as ScoringSettings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import DAY_US, SystemClock, to_timestamp
from bihuan_shared.errors import NotFound
from bihuan_shared.rpc.server import start_server

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

SECRET = "inside"
CALLERS = (Credential("gateway", Role.INTERNAL, secret_sha256(SECRET)),)
DEADLINE_S = 30.0


@dataclass
class World:
    """The gateway's hops to a profile and a scoring service that run."""

    hops: Hops

    @property
    def profiles(self) -> "ProfileServiceAsyncStub":
        return self.hops.profile

    async def happen(self, person_id: int, behaviour: "common.Behaviour.ValueType", days: float, brand: str) -> None:
        event = pb.BehaviourEvent(
            event_id=f"{behaviour}-{days}",
            person=common.PersonRef(person_id=person_id),
            behaviour=behaviour,
            event_time=to_timestamp(time.time_ns() // 1_000 - round(days * DAY_US)),
            tags=[f"brand:{brand}"],
            consent=common.Consent(purposes=[common.PURPOSE_TARGETING]),
        )
        answer = await self.profiles.IngestEvents(pb.IngestEventsRequest(events=[event]))
        assert answer.results[0].outcome == pb.INGEST_OUTCOME_ACCEPTED

    async def members(self, *person_ids: int) -> list[int]:
        """Who of some persons is in the package, once it is ready."""
        deadline = time.monotonic() + DEADLINE_S
        while (await AudienceHop(self.hops.audiences).status("back")).state != "ready":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        request = audience_pb2.BatchGetMembershipsRequest(
            persons=[common.PersonRef(person_id=person_id) for person_id in person_ids]
        )
        found = (await self.hops.audiences.BatchGetMemberships(request)).memberships
        return [person_id for person_id, one in zip(person_ids, found, strict=True) if "back" in one.audience_ids]


@pytest.fixture
async def world(tmp_path: Path, redis_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        known = ProfileSettings(redis_url=redis_url, callers=CALLERS, consume=False, state_dir=tmp_path)
        profiles = await start_server(await profile.build(known), known, SystemClock())
        stack.push_async_callback(profiles.stop, 0)
        target = f"127.0.0.1:{profiles.port}"
        scores = ScoringSettings(
            state_dir=tmp_path, callers=CALLERS, caller_secret=SecretStr(SECRET), profile_target=target
        )
        audiences = await start_server(await scoring.build(scores), scores, SystemClock())
        stack.push_async_callback(audiences.stop, 0)
        hops = Hops.open(
            Settings(
                caller_secret=SecretStr(SECRET), profile_target=target, scoring_target=f"127.0.0.1:{audiences.port}"
            )
        )
        stack.push_async_callback(hops.close)
        yield World(hops)


async def test_person_who_went_quiet_comes_into_the_package_and_leaves_it_after_coming_back(world: World) -> None:
    brand = 'tea "no. 1"'
    await world.happen(1, common.BEHAVIOUR_ORDER, 100, brand)
    await world.happen(2, common.BEHAVIOUR_ORDER, 10, brand)
    await world.happen(3, common.BEHAVIOUR_ORDER, 100, "coffee")
    await world.happen(4, common.BEHAVIOUR_IMPRESSION, 100, brand)
    spec = AudienceSpec(advertiser_id="acme", display_name="Come back")
    expression = with_preset(spec, "reactivation", brand).expression
    await TaxonomyHop(world.hops.profile).parse(expression, "/expression", {})
    hop = AudienceHop(world.hops.audiences)
    await hop.create("back", "acme", "Come back", expression=expression, person_ids=())
    assert await world.members(1, 2, 3, 4) == [1]
    await world.happen(1, common.BEHAVIOUR_CLICK, 0, brand)
    await world.happen(5, common.BEHAVIOUR_CART, 91, brand)
    assert await world.members(1, 2, 3, 4, 5) == [1]
    assert (await hop.refresh("back", "acme")).state == "building"
    assert await world.members(1, 2, 3, 4, 5) == [5]
    with pytest.raises(NotFound):
        await hop.refresh("back", "rival")
