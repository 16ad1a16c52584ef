"""The composition root: which store, taxonomy, clock and stream the server works with."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import grpc

from bihuan.profile.v1.profile_pb2_grpc import add_ProfileServiceServicer_to_server
from bihuan_profile.changed_stream import ChangedPersons
from bihuan_profile.domain.retention import retention_of
from bihuan_profile.domain.taxonomy import Taxonomy
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
from bihuan_profile.use_cases.ports import Backoff, ProfileStore
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_profile.use_cases.private_tags import PrivateTags
from bihuan_profile.use_cases.rebuilding import Rebuild, adopt
from bihuan_profile.use_cases.removing import Eraser
from bihuan_profile.use_cases.sweeping import Sweep
from bihuan_shared.clock import Clock, clock_from
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.person_stream import PersonFollower
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.rpc.server import ServiceApp


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is opened once and shared; `plain` tells whatever is held, `store` nothing that is too old."""

    settings: Settings
    clock: Clock
    client: RedisClient
    lake: Lake
    taxonomy: Taxonomy
    changed: ChangedPersons
    private: PrivateTags
    retention: PrivateRetention
    plain: ProfileStore
    store: ProfileStore
    journal: LakeJournal
    edges: LakeEdges
    history: LakeHistory
    jobs: RedisJobs
    backoff: Backoff

    async def close(self) -> None:
        """Finish what was begun."""
        await self.changed.close()
        await self.journal.close()
        await self.edges.close()
        await self.client.aclose()


async def build(settings: Settings) -> ServiceApp:
    """
    Open the store and wire the service.

    Raises TaxonomyInvalidError where the taxonomy's file is wrong, Unavailable where the store does not answer.
    """
    parts = await _open(settings)
    keeper = _keeper(parts)
    await adopt(parts.store, parts.jobs, parts.history)
    return ServiceApp(
        name="profile",
        servicers=((_servicer(parts, keeper), _register, "bihuan.profile.v1.ProfileService"),),
        ready=parts.store.ping,
        background=(
            ("population", keeper.run),
            *((*_following(parts), *_upkeep(parts).tasks) if settings.consume else ()),
        ),
        close=parts.close,
    )


async def _open(settings: Settings) -> _Parts:
    taxonomy = load_taxonomy(settings.taxonomy)
    client = await open_redis(settings.store_url())
    clock = clock_from(settings.clock)
    lake = open_lake(settings.lake_url)
    await lake.warm_up()
    changed = ChangedPersons(client)
    private = PrivateTags(RedisPrivateTagStore(client), time.monotonic)
    retention = PrivateRetention(retention_of(taxonomy), taxonomy, private)
    bare = RedisProfileStore(client)
    plain = AnnouncingProfileStore(bare, changed.tell) if settings.tell_changes else bare
    return _Parts(
        settings,
        clock,
        client,
        lake,
        taxonomy,
        changed,
        private,
        retention,
        plain,
        RetainingProfileStore(plain, clock, retention),
        LakeJournal(lake),
        LakeEdges(lake),
        LakeHistory(lake),
        RedisJobs(client),
        Backoff(random.Random(), asyncio.sleep),  # noqa: S311  # spreads load, no more
    )


def _servicer(parts: _Parts, keeper: PopulationKeeper) -> ProfileServicer:
    return ProfileServicer(
        parts.store,
        parts.taxonomy,
        parts.clock,
        parts.backoff,
        parts.journal,
        parts.edges,
        parts.private,
        parts.jobs,
        parts.history,
        parts.retention,
        lambda: keeper.current,
    )


def _keeper(parts: _Parts) -> PopulationKeeper:
    settings = parts.settings
    return PopulationKeeper(
        parts.store,
        RedisPopulationStore(parts.client),
        parts.clock,
        uuid4().hex,
        PopulationRules(settings.population_interval_s, settings.recent_share),
        measure=measure_population,
    )


def _following(parts: _Parts) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    settings, journal = parts.settings, parts.journal
    profiles = ProfileFollower(parts.store, parts.backoff, journal, parts.history, parts.jobs)
    persons = PersonFollower(
        parts.client,
        group=GROUP,
        consumer=settings.consumer,
        position=profiles.position,
        follow=profiles.follow,
        measure=PERSONS_LAG.set,
        keep=journal.write_changes,
    )
    events = AcceptedEvents(parts.store, parts.backoff, journal)
    reader = reader_of(parts.client, settings.consumer, settings.event_shards)
    return ("accepted_events", partial(follow, reader, events)), ("persons", persons.run)


def _upkeep(parts: _Parts) -> Upkeep:
    settings, history, jobs = parts.settings, parts.history, parts.jobs
    # The name among readers of a stream may be given twice by mistake; two holders of one lease would do harm.
    holder = f"{settings.consumer}:{uuid4().hex}"
    rows, store, backoff, journal = LakeRows(parts.lake), parts.store, parts.backoff, parts.journal
    every_s = settings.sweep_hours * 3_600
    return Upkeep(
        Rebuild(store, backoff, journal, history, jobs, holder, watch_rebuild),
        Eraser(store, backoff, history, rows, journal, jobs, holder, settle_s=settings.erasure_settle_s),
        Sweep(parts.plain, backoff, rows, jobs, parts.retention, parts.clock.now_us, holder, every_s),
    )


def _register(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, ProfileServicer)
    add_ProfileServiceServicer_to_server(servicer, server)
