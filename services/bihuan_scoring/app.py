"""The composition root: which registry, stores, clock and profile service the server works with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import grpc
import numpy as np

from bihuan.scoring.v1.audience_pb2_grpc import add_AudienceServiceServicer_to_server
from bihuan.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server
from bihuan_scoring.audience_store import METADATA, SqlAudienceStore
from bihuan_scoring.bitmap_store import BitmapFiles
from bihuan_scoring.domain.reach import ReachNoise
from bihuan_scoring.look_alike_files import LookAlikeFiles
from bihuan_scoring.metrics import PERSONS_LAG
from bihuan_scoring.model_wiring import open_models
from bihuan_scoring.profile_changes import ProfileChanges
from bihuan_scoring.profile_client import GrpcProfiles
from bihuan_scoring.rpc.audiences import AudienceServicer, AudienceUses
from bihuan_scoring.rpc.scoring import ScoringServicer
from bihuan_scoring.settings import Settings
from bihuan_scoring.tag_index.keeping import Rules, TagIndexKeeper
from bihuan_scoring.tag_index.listening import AudiencesListen
from bihuan_scoring.training_job import TrainedModel, train_model
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.building import AudienceBuilder
from bihuan_scoring.use_cases.describing import Describer
from bihuan_scoring.use_cases.exporting import Exporter
from bihuan_scoring.use_cases.finding import Finder
from bihuan_scoring.use_cases.look_alikes import LookAlikeBuilder
from bihuan_scoring.use_cases.scheduling import RefreshSchedule
from bihuan_scoring.use_cases.telling import Teller
from bihuan_shared.clock import Clock, clock_from
from bihuan_shared.person_stream import PersonFollower
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.identity_tokens import IdentityTokens
from bihuan_shared.rpc.server import ServiceApp
from bihuan_shared.sql import Database

__all__ = ["TrainedModel", "build", "train_model"]

SCHEMA = "scoring"


async def build(settings: Settings) -> ServiceApp:
    """
    Open the stores, load the model that serves and every audience, and wire the service.

    Raises Unavailable where the database does not answer.
    """
    clock = clock_from(settings.clock)
    models = await open_models(settings, clock)
    database = await Database.open(settings.database_url, METADATA, schema=SCHEMA)
    channel = open_channel(settings.profile_target, secret=settings.caller_secret.get_secret_value(), service="profile")
    profiles = GrpcProfiles(channel)
    audiences = Audiences(SqlAudienceStore(database), BitmapFiles(settings.state_dir / "audiences"), profiles, clock)
    await audiences.load()
    files = LookAlikeFiles(settings.state_dir / "look_alikes")
    look_alikes = LookAlikeBuilder(audiences, profiles, files, clock.now_us, asyncio.sleep)
    redis = await open_redis(settings.redis_url) if settings.redis_url else None
    keeper = _keeper(redis, audiences, profiles, clock, settings)
    finder = Finder(audiences, keeper, clock)
    tokens = _tokens(settings)
    uses = _uses(audiences, profiles, finder, tokens, ReachNoise(settings.reach_key()))
    scoring = ScoringServicer(models.serving, clock, models.comparisons)
    served = AudienceServicer(audiences, clock, profiles, uses)
    builder = AudienceBuilder(audiences, profiles, asyncio.sleep, finder.members)
    schedule = RefreshSchedule(audiences, clock, asyncio.sleep, settings.audience_refresh_s)

    return ServiceApp(
        name="scoring",
        servicers=(
            (scoring, _register_scoring, "bihuan.scoring.v1.ScoringService"),
            (served, _register_audiences, "bihuan.scoring.v1.AudienceService"),
        ),
        ready=database.ping,
        background=(
            ("audience_builder", builder.run),
            ("audience_refresh", schedule.run),
            ("look_alike_builder", look_alikes.run),
            *models.background,
            *_following(redis, audiences, settings),
            *(() if keeper is None else (("tag_index", keeper.run),)),
        ),
        close=partial(_close, keeper, channel, tokens, database, redis),
    )


async def _close(
    keeper: TagIndexKeeper | None,
    channel: grpc.aio.Channel,
    tokens: IdentityTokens | None,
    database: Database,
    redis: RedisClient | None,
) -> None:
    if keeper is not None:
        await keeper.store()
    await channel.close()
    if tokens is not None:
        await tokens.close()
    await database.close()
    if redis is not None:
        await redis.aclose()


def _uses(
    audiences: Audiences, profiles: GrpcProfiles, finder: Finder, tokens: IdentityTokens | None, noise: ReachNoise
) -> AudienceUses:
    return AudienceUses(
        Teller(audiences, profiles, finder, noise),
        Exporter(audiences, profiles, tokens, np.random.default_rng()),
        Describer(audiences, profiles, noise),
    )


def _tokens(settings: Settings) -> IdentityTokens | None:
    """There are no tokens without identity."""
    if not settings.identity_target:
        return None
    return IdentityTokens.connect(settings.identity_target, settings.caller_secret.get_secret_value())


def _keeper(
    redis: RedisClient | None, audiences: Audiences, profiles: GrpcProfiles, clock: Clock, settings: Settings
) -> TagIndexKeeper | None:
    """There is no index without profiles, or without the stream that tells of their changes."""
    if redis is None or not settings.profile_target or not settings.tag_index:
        return None
    rules = Rules(rebuild_s=settings.tag_index_rebuild_s, cache_bytes=settings.tag_index_cache_mib << 20)
    folder = settings.state_dir / "tag_index"
    return TagIndexKeeper(folder, profiles, ProfileChanges(redis), clock, rules, AudiencesListen(audiences))


def _following(
    redis: RedisClient | None, audiences: Audiences, settings: Settings
) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
    """Nothing is followed without Redis: there is no stream then."""
    if redis is None:
        return ()
    persons = PersonFollower(
        redis,
        group="scoring",
        consumer=settings.consumer,
        position=audiences.followed,
        follow=audiences.follow,
        measure=PERSONS_LAG.set,
    )
    return (("persons", persons.run),)


def _register_scoring(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, ScoringServicer)
    add_ScoringServiceServicer_to_server(servicer, server)


def _register_audiences(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, AudienceServicer)
    add_AudienceServiceServicer_to_server(servicer, server)
