"""Short ways to say identifiers, items and links in tests."""

import hashlib
import itertools
from collections.abc import Sequence

from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, EvidenceKind, KeyedIdentifier
from bihuan_identity.domain.linking import LinkCommand, RefusedLink
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_identity.domain.seen_together import SeenTogether
from bihuan_identity.domain.standing import StandingPersons
from bihuan_identity.domain.working import Linked, Rules
from bihuan_identity.use_cases.committing import Graph, Identity
from bihuan_identity.use_cases.linking import write_links
from bihuan_identity.use_cases.ports import GraphStore, IdentifierIndex
from bihuan_identity.use_cases.resolving import write_items

NOW_US = 1_500_000_000_000_000
MAX_CLUSTER_SIZE = 512

_request_ids = itertools.count(1)


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


def identifier(name: str, *, max_degree: int = 64, trust_ppm: int = CERTAIN_PPM) -> KeyedIdentifier:
    return KeyedIdentifier(key(name), "login", trust_ppm, max_degree)


def item(names: str, *, create: bool = True, time_us: int = NOW_US) -> Item:
    """An item whose identifiers are the words of `names`."""
    return Item(tuple(identifier(name) for name in names.split()), create, time_us)


def claim(confidence_ppm: int = CERTAIN_PPM) -> Claim:
    kind = EvidenceKind.DETERMINISTIC if confidence_ppm == CERTAIN_PPM else EvidenceKind.PROBABILISTIC
    return Claim(kind, "test", confidence_ppm, None)


def link_of(
    names: str, *, confidence_ppm: int = CERTAIN_PPM, request_id: str | None = None, caller: str = "gateway"
) -> LinkCommand:
    """A link of the words of `names`, under a request id of its own unless one is given."""
    return LinkCommand(
        caller=caller,
        request_id=request_id or f"request-{next(_request_ids)}",
        identifiers=tuple(identifier(name) for name in names.split()),
        claim=claim(confidence_ppm),
        time_us=NOW_US,
    )


DAY_S = 86_400


def rules(max_cluster_size: int = MAX_CLUSTER_SIZE, *, max_degree: int = 64, ttl_s: int = 365 * DAY_S) -> Rules:
    return Rules(max_cluster_size, lambda _: max_degree, lambda _: ttl_s, ttl_s)


def identity_of(
    store: GraphStore, index: IdentifierIndex, *, max_cluster_size: int = MAX_CLUSTER_SIZE, epoch: int = 1
) -> Identity:
    """Identity on these ports, every write a commit of its own."""
    graph = Graph(store, index, StandingPersons(), rules(max_cluster_size), epoch)

    async def resolve(items: Sequence[Item]) -> tuple[Resolution, ...]:
        return await write_items(graph, items)

    async def link(commands: Sequence[LinkCommand]) -> tuple[Linked | RefusedLink, ...]:
        return await write_links(graph, commands)

    return Identity(graph, resolve, link, SeenTogether())
