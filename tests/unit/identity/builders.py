"""Short ways to say identifiers, items and links in tests."""

import hashlib
import itertools
from collections.abc import Sequence

from bihuan_identity.domain.absorbed import AbsorbedPersons
from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, EvidenceKind, KeyedIdentifier
from bihuan_identity.domain.linking import LinkCommand
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_identity.use_cases import GraphStore, IdentifierIndex, Identity, write_items

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


def identity_of(store: GraphStore, index: IdentifierIndex, *, max_cluster_size: int = MAX_CLUSTER_SIZE) -> Identity:
    """Identity on these ports, every write a commit of its own."""

    async def write(items: Sequence[Item]) -> tuple[Resolution, ...]:
        return await write_items(store, index, items, max_cluster_size=max_cluster_size)

    return Identity(store, index, AbsorbedPersons(), write, max_cluster_size)
