"""The composition root: which store, index and clock the server works with."""

import asyncio
from collections.abc import Sequence
from functools import partial

import grpc
import structlog

from bihuan.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from bihuan_identity.domain.absorbed import AbsorbedPersons
from bihuan_identity.domain.keys import KeyHasher
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.index_store import NoIndex, RedisIdentifierIndex
from bihuan_identity.rpc import IdentityServicer
from bihuan_identity.settings import Settings
from bihuan_identity.use_cases import Identity, follow_merges, write_items
from bihuan_shared.clock import clock_from
from bihuan_shared.errors import BihuanError
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.rpc.server import ServiceApp

_FOLLOW_PERIOD_S = 1.0
_MAX_QUEUED_ITEMS = 20_000
_MAX_ITEMS_A_COMMIT = 1_000
_log = structlog.get_logger(__name__)


async def build(settings: Settings) -> ServiceApp:
    """Open the stores and wire the service. Raises Unavailable where the database does not answer."""
    store = await SqlGraphStore.open(settings.database_url)
    index = (
        RedisIdentifierIndex(settings.redis_url, timeout_s=settings.index_timeout_ms / 1_000)
        if settings.redis_url
        else NoIndex()
    )

    async def write(items: Sequence[Item]) -> Sequence[Resolution]:
        return await write_items(store, index, items, max_cluster_size=settings.max_cluster_size)

    writes = GroupCommit(write, max_items=_MAX_ITEMS_A_COMMIT, max_queue=_MAX_QUEUED_ITEMS)
    identity = Identity(store, index, AbsorbedPersons(), writes.submit, settings.max_cluster_size)
    await follow_merges(identity)
    servicer = IdentityServicer(identity, KeyHasher(settings.pepper_bytes()), clock_from(settings.clock))

    async def close() -> None:
        await writes.close()
        await index.close()
        await store.close()

    return ServiceApp(
        name="identity",
        servicers=((servicer, _register, "bihuan.identity.v1.IdentityService"),),
        ready=store.is_alive,
        background=(("follow_merges", partial(_keep_following, identity)),),
        close=close,
    )


def _register(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, IdentityServicer)
    add_IdentityServiceServicer_to_server(servicer, server)


async def _keep_following(identity: Identity) -> None:
    while True:
        await asyncio.sleep(_FOLLOW_PERIOD_S)
        try:
            await follow_merges(identity)
        except BihuanError as error:
            # Readiness reports the lost database; what was missed is followed once it is back.
            _log.warning("merges_not_followed", detail=error.detail)
