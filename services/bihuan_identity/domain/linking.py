"""Requests that tie identifiers together, and how a repeated one is recognised."""

import hashlib
import struct
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bihuan_identity.domain.barring import barred_keys
from bihuan_identity.domain.graph import (
    Claim,
    GraphChange,
    GraphView,
    KeyedIdentifier,
    Operation,
    RequestRecord,
)
from bihuan_identity.domain.loaded import LoadedGraph
from bihuan_identity.domain.regrouping import GuardRefusedError
from bihuan_identity.domain.working import Linked, Rules, tie_together
from bihuan_shared.clock import SECOND_US


class ContentConflictError(Exception):
    """The request id came before with other content."""


class BarredError(Exception):
    """One of the identifiers was erased or its namespace given up; `position` is its place in the request."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


RefusedLink = ContentConflictError | BarredError | GuardRefusedError
"""Why a link of a batch was not carried out."""


@dataclass(frozen=True, slots=True)
class LinkCommand:
    """A request to tie distinct identifiers (two or more) together, at `time_us`."""

    caller: str
    request_id: str
    identifiers: tuple[KeyedIdentifier, ...]
    claim: Claim
    time_us: int

    def body_sha256(self) -> bytes:
        """Digest the content: the set of keys and the claim as sent, so that a retry matches whenever it comes."""
        claim = self.claim
        parts = [claim.kind.value, claim.source, str(claim.confidence_ppm), str(claim.observe_time_us)]
        digest = hashlib.sha256("\0".join(parts).encode())
        for key in sorted(identifier.key for identifier in self.identifiers):
            digest.update(key)
        return digest.digest()


def plan_links(
    view: GraphView, commands: Sequence[LinkCommand], rules: Rules, *, epoch: int
) -> tuple[GraphChange, tuple[Linked | RefusedLink, ...]]:
    """
    Plan links in order; each sees what the ones before it did, and one that is refused changes nothing.

    A repeated request is answered as before and changes nothing.
    """
    graph = LoadedGraph(view, time_s=0, epoch=epoch)
    identifiers = [identifier for command in commands for identifier in command.identifiers]
    graph.load_identifiers(identifiers)
    barred = barred_keys(graph, identifiers)
    graph.load_requests((command.caller, command.request_id) for command in commands)
    outcomes: list[Linked | RefusedLink] = []
    for command in commands:
        graph.time_s = command.time_us // SECOND_US
        try:
            outcomes.append(_link(graph, command, rules, barred))
        except (ContentConflictError, BarredError, GuardRefusedError) as refusal:
            outcomes.append(refusal)
    return graph.difference(), tuple(outcomes)


def _link(graph: LoadedGraph, command: LinkCommand, rules: Rules, barred: AbstractSet[bytes]) -> Linked:
    digest = command.body_sha256()
    before = recorded(graph, command.caller, command.request_id, Operation.LINK, digest)
    if before is not None:
        person_id, evidence_id, quarantined, *merged = unpack_ids(before.outcome)
        return Linked(person_id, tuple(merged), evidence_id, bool(quarantined))
    for position, identifier in enumerate(command.identifiers):
        if identifier.key in barred:
            raise BarredError(position)
    linked = tie_together(graph, rules, command.identifiers, command.claim)
    outcome = pack_ids(linked.person_id, linked.evidence_id, int(linked.quarantined), *linked.merged_person_ids)
    record = RequestRecord(command.caller, command.request_id, Operation.LINK, digest, graph.time_s, outcome)
    graph.put_request(record)
    return linked


def recorded(
    graph: LoadedGraph, caller: str, request_id: str, operation: Operation, body_sha256: bytes
) -> RequestRecord | None:
    """
    Return the record of a request that was carried out before, in this transaction or an earlier one.

    Raises ContentConflictError where the id came with another operation or content.
    """
    before = graph.request(caller, request_id)
    if before is not None and (before.operation, before.body_sha256) != (operation, body_sha256):
        raise ContentConflictError
    return before


def pack_ids(*numbers: int) -> bytes:
    """Write numbers of up to 64 bits, 8 bytes each, big-endian."""
    return struct.pack(f">{len(numbers)}Q", *numbers)


def unpack_ids(packed: bytes) -> tuple[int, ...]:
    """Read what `pack_ids` wrote."""
    return struct.unpack(f">{len(packed) // 8}Q", packed)
