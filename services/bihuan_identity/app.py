"""The composition root: which stores, keys and clock the server works with."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import grpc

from bihuan.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from bihuan_identity.background import (
    keep_following,
    keep_forgetting_requests,
    keep_lapsing,
    keep_publishing,
    keep_retiring,
)
from bihuan_identity.change_stream import NoChangeStream, RedisChangeStream
from bihuan_identity.domain.graph import Attachment, KeyedIdentifier
from bihuan_identity.domain.keys import KeyHasher
from bihuan_identity.domain.linking import LinkCommand, RefusedLink
from bihuan_identity.domain.namespaces import DECLARED, find_namespace
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_identity.domain.seen_together import SeenTogether
from bihuan_identity.domain.standing import StandingPersons
from bihuan_identity.domain.working import Linked, Rules
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.index_store import NoIndex, RedisIdentifierIndex
from bihuan_identity.person_store import SqlPersons
from bihuan_identity.rpc import IdentityServicer
from bihuan_identity.rpc_partners import PartnerDesk
from bihuan_identity.settings import Settings
from bihuan_identity.use_cases.committing import Graph, Identity
from bihuan_identity.use_cases.linking import write_links
from bihuan_identity.use_cases.matching import MatchBounds, Matching
from bihuan_identity.use_cases.pseudonyms import OwnPersonTokens, Pseudonyms
from bihuan_identity.use_cases.resolving import look_up, write_items
from bihuan_shared.clock import SECOND_US, Clock, clock_from
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.rpc.server import ServiceApp

_MAX_QUEUED_ITEMS = 20_000
_MAX_ITEMS_A_COMMIT = 1_000
_MAX_LINKS_A_COMMIT = 200


async def build(settings: Settings) -> ServiceApp:
    """
    Open the stores and wire the service.

    Raises Unavailable where the database does not answer, and FailedPrecondition where it knows a newer pepper.
    """
    hasher = KeyHasher(settings.pepper_epochs())
    clock = clock_from(settings.clock)
    store = await SqlGraphStore.open(settings.database_url, epoch=hasher.epoch)
    index = _index(settings)
    stream = RedisChangeStream(settings.redis_url) if settings.redis_url else NoChangeStream()
    graph = await _graph(store, index, settings.max_cluster_size, hasher.epoch)
    wired = _wire(graph)
    persons = SqlPersons(store.database)
    desk = _desk(settings, graph, persons, hasher, clock)
    servicer = IdentityServicer(wired.identity, desk)

    async def close() -> None:
        await wired.close()
        await stream.close()
        await index.close()
        await store.close()

    return ServiceApp(
        name="identity",
        servicers=((servicer, _register, "bihuan.identity.v1.IdentityService"),),
        ready=store.is_alive,
        background=(
            ("follow_changes", partial(keep_following, graph)),
            ("publish_changes", partial(keep_publishing, graph, stream)),
            *_sweeps(settings, graph, store, clock),
        ),
        close=close,
        tokens=OwnPersonTokens(desk.pseudonyms, clock),
    )


def _sweeps(
    settings: Settings, graph: Graph, store: SqlGraphStore, clock: Clock
) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    period_s = float(settings.sweep_period_s)
    always = (
        ("lapse_ties", partial(keep_lapsing, graph, clock, period_s)),
        ("forget_requests", partial(keep_forgetting_requests, store, clock, settings.request_retention_s, period_s)),
    )
    if not settings.retire_before_epoch:
        return always
    return (
        *always,
        ("retire_identifiers", partial(keep_retiring, graph, clock, settings.retire_before_epoch, period_s)),
    )


@dataclass(frozen=True, slots=True)
class _Wired:
    identity: Identity
    close: Callable[[], Awaitable[None]]


def _wire(graph: Graph) -> _Wired:
    async def resolve(items: Sequence[Item]) -> Sequence[Resolution]:
        return await write_items(graph, items)

    async def link(commands: Sequence[LinkCommand]) -> Sequence[Linked | RefusedLink]:
        return await write_links(graph, commands)

    items = GroupCommit(resolve, max_items=_MAX_ITEMS_A_COMMIT, max_queue=_MAX_QUEUED_ITEMS)
    links = GroupCommit(link, max_items=_MAX_LINKS_A_COMMIT, max_queue=_MAX_QUEUED_ITEMS)

    async def close() -> None:
        await items.close()
        await links.close()

    return _Wired(Identity(graph, items.submit, links.submit, SeenTogether()), close)


async def _graph(
    store: SqlGraphStore, index: RedisIdentifierIndex | NoIndex, max_cluster_size: int, epoch: int
) -> Graph:
    found = await store.standing()
    standing = StandingPersons(found.change_id, [*found.absorbed, *found.erased], found.generations)
    return Graph(store, index, standing, declared_rules(max_cluster_size), epoch)


def declared_rules(max_cluster_size: int) -> Rules:
    """Return the rules of the declared namespaces; one that is declared no more allows nothing more and keeps on."""
    longest_s = max(namespace.ttl_us for namespace in DECLARED) // SECOND_US

    def max_degree(name: str) -> int:
        namespace = find_namespace(name)
        return 0 if namespace is None else namespace.max_degree

    def ttl_s(name: str) -> int:
        namespace = find_namespace(name)
        return longest_s if namespace is None else namespace.ttl_us // SECOND_US

    return Rules(max_cluster_size, max_degree, ttl_s, min(namespace.ttl_us for namespace in DECLARED) // SECOND_US)


def _index(settings: Settings) -> RedisIdentifierIndex | NoIndex:
    if not settings.redis_url:
        return NoIndex()
    return RedisIdentifierIndex(
        settings.redis_url, buckets=settings.index_buckets, timeout_s=settings.index_timeout_ms / 1_000
    )


def _desk(settings: Settings, graph: Graph, persons: SqlPersons, hasher: KeyHasher, clock: Clock) -> PartnerDesk:
    pseudonyms = Pseudonyms(settings.pseudonym_ring(), settings.partner_registry(), persons)

    async def known(identifiers: Sequence[KeyedIdentifier]) -> dict[bytes, Attachment]:
        return dict((await look_up(graph, identifiers)).known)

    bounds = MatchBounds(settings.match_max_identifiers, settings.match_max_tokens, settings.match_max_lists)
    matching = Matching(known, pseudonyms, bounds)
    return PartnerDesk(pseudonyms, matching, settings.receipt_ring(), persons, hasher, clock)


def _register(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, IdentityServicer)
    add_IdentityServiceServicer_to_server(servicer, server)
