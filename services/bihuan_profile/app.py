"""The composition root: which store, taxonomy, clock and stream the server works with."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import grpc

from bihuan.profile.v1.profile_pb2_grpc import add_ProfileServiceServicer_to_server
from bihuan_profile.changed_stream import ChangedPersons
from bihuan_profile.domain.retention import Retention, retention_of
from bihuan_profile.edge_journal import LakeEdges
from bihuan_profile.journal import LakeHistory, LakeJournal, LakeRows
from bihuan_profile.metrics import PERSONS_LAG, measure_population
from bihuan_profile.profile_store.announcing import AnnouncingProfileStore
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.jobs import RedisJobs
from bihuan_profile.profile_store.population_in_redis import RedisPopulationStore
from bihuan_profile.profile_store.retaining import RetainingProfileStore
from bihuan_profile.profile_store.tags_in_redis import RedisPrivateTagStore
from bihuan_profile.rpc import ProfileServicer
from bihuan_profile.settings import Settings
from bihuan_profile.stream import GROUP, AcceptedEvents, follow, reader_of
from bihuan_profile.taxonomy_file import load_taxonomy
from bihuan_profile.upkeep import Upkeep, watch_rebuild
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.populating import PopulationKeeper, PopulationRules
from bihuan_profile.use_cases.ports import Backoff, Jobs, ProfileStore
from bihuan_profile.use_cases.private_tags import PrivateTags
from bihuan_profile.use_cases.rebuilding import Rebuild, adopt
from bihuan_profile.use_cases.removing import Eraser
from bihuan_profile.use_cases.sweeping import Sweep
from bihuan_shared.clock import Clock, clock_from
from bihuan_shared.lake import Lake, open_lake
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
    changed = ChangedPersons(client)
    clock = clock_from(settings.clock)
    backoff = Backoff(random.Random(), asyncio.sleep)  # noqa: S311  # spreads load, no more
    lake = open_lake(settings.lake_url)
    await lake.warm_up()
    journal, edges, jobs = LakeJournal(lake), LakeEdges(lake), RedisJobs(client)
    plain, retention = RedisProfileStore(client), retention_of(taxonomy)
    everything = AnnouncingProfileStore(plain, changed.tell) if settings.tell_changes else plain
    store = RetainingProfileStore(everything, clock, retention)
    profiles = ProfileFollower(store, backoff, journal, LakeHistory(lake), jobs)
    private = PrivateTags(RedisPrivateTagStore(client), time.monotonic)
    keeper = PopulationKeeper(
        store,
        RedisPopulationStore(client),
        clock,
        uuid4().hex,
        PopulationRules(settings.population_interval_s, settings.recent_share),
        measure=measure_population,
    )
    persons = PersonFollower(
        client,
        group=GROUP,
        consumer=settings.consumer,
        position=profiles.position,
        follow=profiles.follow,
        measure=PERSONS_LAG.set,
        keep=journal.write_changes,
    )
    events = AcceptedEvents(store, backoff, journal)
    reader = reader_of(client, settings.consumer, settings.event_shards)
    upkeep = _upkeep(settings, everything, store, backoff, clock, lake, journal, jobs, retention)
    following: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
        ("accepted_events", partial(follow, reader, events)),
        ("persons", persons.run),
    )
    servicer = ProfileServicer(
        store,
        taxonomy,
        clock,
        backoff,
        journal,
        edges,
        private,
        jobs,
        LakeHistory(lake),
        retention,
        lambda: keeper.current,
    )
    await adopt(store, jobs, LakeHistory(lake))

    async def close() -> None:
        await changed.close()
        await journal.close()
        await edges.close()
        await client.aclose()

    return ServiceApp(
        name="profile",
        servicers=((servicer, _register, "bihuan.profile.v1.ProfileService"),),
        ready=store.ping,
        background=(("population", keeper.run), *((*following, *upkeep.tasks) if settings.consume else ())),
        close=close,
    )


def _upkeep(
    settings: Settings,
    everything: ProfileStore,
    store: ProfileStore,
    backoff: Backoff,
    clock: Clock,
    lake: Lake,
    journal: LakeJournal,
    jobs: Jobs,
    retention: Retention,
) -> Upkeep:
    # The name among readers of a stream may be given twice by mistake; two holders of one lease would do harm.
    holder = f"{settings.consumer}:{uuid4().hex}"
    history, rows = LakeHistory(lake), LakeRows(lake)
    return Upkeep(
        Rebuild(store, backoff, journal, history, jobs, holder, watch_rebuild),
        Eraser(store, backoff, history, rows, journal, jobs, holder, settle_s=settings.erasure_settle_s),
        Sweep(everything, backoff, rows, jobs, retention, clock.now_us, holder, settings.sweep_hours * 3_600),
    )


def _register(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, ProfileServicer)
    add_ProfileServiceServicer_to_server(servicer, server)
