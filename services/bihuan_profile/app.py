"""The composition root: which store, taxonomy, clock and stream the server works with."""

import asyncio
import random
import time
import uuid
from functools import partial

import grpc

from bihuan.profile.v1.profile_pb2_grpc import add_ProfileServiceServicer_to_server
from bihuan_profile.edge_journal import LakeEdges
from bihuan_profile.journal import LakeJournal
from bihuan_profile.metrics import PERSONS_LAG, measure_population
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.population_in_redis import RedisPopulationStore
from bihuan_profile.profile_store.tags_in_redis import RedisPrivateTagStore
from bihuan_profile.rpc import ProfileServicer
from bihuan_profile.settings import Settings
from bihuan_profile.stream import GROUP, AcceptedEvents, follow, reader_of
from bihuan_profile.taxonomy_file import load_taxonomy
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.populating import PopulationKeeper, PopulationRules
from bihuan_profile.use_cases.ports import Backoff
from bihuan_profile.use_cases.private_tags import PrivateTags
from bihuan_shared.clock import clock_from
from bihuan_shared.lake import open_lake
from bihuan_shared.person_stream import PersonFollower
from bihuan_shared.redis import open_redis
from bihuan_shared.rpc.server import ServiceApp


async def build(settings: Settings) -> ServiceApp:
    """
    Open the store and wire the service.

    Raises TaxonomyInvalidError where the taxonomy's file is wrong, Unavailable where the store does not answer.
    """
    taxonomy = load_taxonomy(settings.taxonomy)
    client = await open_redis(settings.store_url())
    store = RedisProfileStore(client)
    backoff = Backoff(random.Random(), asyncio.sleep)  # noqa: S311  # spreads load, no more
    clock = clock_from(settings.clock)
    lake = open_lake(settings.lake_url)
    await lake.warm_up()
    journal, edges = LakeJournal(lake), LakeEdges(lake)
    events = AcceptedEvents(store, backoff, journal)
    private = PrivateTags(RedisPrivateTagStore(client), time.monotonic)
    reader = reader_of(client, settings.consumer, settings.event_shards)
    keeper = PopulationKeeper(
        store,
        RedisPopulationStore(client),
        clock,
        uuid.uuid4().hex,
        PopulationRules(settings.population_interval_s, settings.recent_share),
        measure=measure_population,
    )
    servicer = ProfileServicer(store, taxonomy, clock, backoff, journal, edges, private, lambda: keeper.current)
    profiles = ProfileFollower(store, backoff, journal)
    persons = PersonFollower(
        client,
        group=GROUP,
        consumer=settings.consumer,
        position=profiles.position,
        follow=profiles.follow,
        measure=PERSONS_LAG.set,
    )
    following = (("accepted_events", partial(follow, reader, events)), ("persons", persons.run))

    async def close() -> None:
        await journal.close()
        await edges.close()
        await client.aclose()

    return ServiceApp(
        name="profile",
        servicers=((servicer, _register, "bihuan.profile.v1.ProfileService"),),
        ready=store.ping,
        background=(("population", keeper.run), *(following if settings.consume else ())),
        close=close,
    )


def _register(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, ProfileServicer)
    add_ProfileServiceServicer_to_server(servicer, server)
