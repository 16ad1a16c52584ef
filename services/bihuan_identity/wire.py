"""Translation between messages and domain records; what does not translate is named by its field path."""

import re
from collections.abc import Iterable
from typing import Final

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    Claim,
    EvidenceKind,
    KeyedIdentifier,
    Node,
    PersonsChange,
    PersonView,
    Piece,
)
from bihuan_identity.domain.keys import KeyHasher, UnknownNamespaceError
from bihuan_identity.domain.namespaces import ValueRefusedError, find_namespace
from bihuan_identity.domain.resolving import RESOLVE_SOURCE, Item, Resolution
from bihuan_identity.use_cases.ports import QuarantinedNode
from bihuan_shared.clock import MINUTE_US, SECOND_US, to_timestamp, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument, NotFound

MAX_VIOLATIONS: Final = 32
MAX_CLOCK_SKEW_US: Final = 5 * MINUTE_US
"""How far ahead of the service's clock an observation may lie."""

_EVIDENCE_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_KINDS: Final = {
    pb.EVIDENCE_KIND_DETERMINISTIC: EvidenceKind.DETERMINISTIC,
    pb.EVIDENCE_KIND_PROBABILISTIC: EvidenceKind.PROBABILISTIC,
}
_KINDS_ON_THE_WIRE: Final = {kind: number for number, kind in _KINDS.items()}


class IdentifierReader:
    """Hashes the identifiers of one request and collects what is wrong with them; raw values go no further."""

    def __init__(self, hasher: KeyHasher) -> None:
        self._identify = hasher.identify
        self.violations: list[FieldViolation] = []

    def item(self, item: pb.ResolveItem, time_us: int, at: int | None = None) -> Item:
        """Read the item at a position of `items`, or the only one."""
        return Item(self.identifiers(item.identifiers, "item", at), item.create, time_us)

    def identifiers(
        self, identifiers: Iterable[Identifier], owner: str = "", owner_at: int | None = None
    ) -> tuple[KeyedIdentifier, ...]:
        """Read identifiers of the request or of an item in it, each distinct one once, in order."""
        keyed: dict[bytes, KeyedIdentifier] = {}
        for at, identifier in enumerate(identifiers):
            try:
                found = self._identify(identifier.namespace, identifier.value)
            except UnknownNamespaceError as error:
                self.violations.append(FieldViolation(f"{_path(owner, owner_at)}[{at}].namespace", str(error)))
            except ValueRefusedError as error:
                self.violations.append(FieldViolation(f"{_path(owner, owner_at)}[{at}].value", str(error)))
            else:
                keyed.setdefault(found.key, found)
        return tuple(keyed.values())

    def finish(self) -> None:
        """Raise InvalidArgument with the first 32 violations where there are any."""
        if self.violations:
            first = self.violations[0]
            raise InvalidArgument(f"{first.field}: {first.description}", *self.violations[:MAX_VIOLATIONS])


def _path(owner: str, at: int | None) -> str:
    """Put a path into words; only done for what is wrong, since a batch has a thousand."""
    prefix = f"{owner}s[{at}]" if at is not None else owner
    return f"{prefix}.identifiers" if prefix else "identifiers"


def read_claim(evidence: pb.Evidence, partner: str, now_us: int, violations: list[FieldViolation]) -> Claim:
    """
    Read why identifiers belong together; what contradicts itself is added to `violations`.

    A partner's name stands before its source: what it says is its own evidence, and never replaces that of others.
    """
    kind = _KINDS[evidence.kind]
    confidence_ppm = round(evidence.confidence * CERTAIN_PPM)
    if kind is EvidenceKind.DETERMINISTIC:
        if evidence.confidence not in (0, 1):
            violations.append(FieldViolation("evidence.confidence", "must be 1 or absent where the link was observed"))
        confidence_ppm = CERTAIN_PPM
    elif not 0 < confidence_ppm < CERTAIN_PPM:
        violations.append(FieldViolation("evidence.confidence", "must lie between 0 and 1 where the link is inferred"))
    observe_time_us = to_us(evidence.observe_time) if evidence.HasField("observe_time") else None
    if observe_time_us is not None and not 0 <= observe_time_us <= now_us + MAX_CLOCK_SKEW_US:
        violations.append(FieldViolation("evidence.observe_time", "must lie after 1970 and not in the future"))
    if evidence.source == RESOLVE_SOURCE:
        violations.append(FieldViolation("evidence.source", "is what Resolve records itself"))
    source = f"{partner}/{evidence.source}" if partner else evidence.source
    return Claim(kind, source, confidence_ppm, observe_time_us)


def write_resolution(resolution: Resolution) -> pb.ResolveResult:
    """Write one result; nobody known leaves the person unset."""
    if resolution.person_id is None:
        return pb.ResolveResult()
    return pb.ResolveResult(
        person_id=resolution.person_id,
        confidence=resolution.confidence_ppm / CERTAIN_PPM,
        created=resolution.created,
        ambiguous=resolution.ambiguous,
        sighting_id=resolution.sighting_id,
    )


def read_evidence_id(text: str) -> int:
    """Read the name of a piece of evidence. Raises NotFound where no piece can have it."""
    if _EVIDENCE_ID.fullmatch(text) is None:
        raise NotFound("there is no such evidence", FieldViolation("evidence_id", "is not known"))
    return int(text)


def write_person(view: PersonView) -> pb.GetPersonResponse:
    """Write a person with its identifiers, evidence, history and aliases."""
    create_time = to_timestamp(view.person.create_time_s * SECOND_US)
    created = pb.PersonChange(change_time=create_time, change="created")
    changes = (write_change(view.person.person_id, change) for change in view.changes)
    return pb.GetPersonResponse(
        person_id=view.person.person_id,
        identifiers=[write_node(node) for node in view.nodes],
        edges=[_write_edge(piece) for piece in view.pieces],
        history=[created, *(change for change in changes if change is not None)],
        alias_person_ids=view.alias_ids,
    )


def write_node(node: Node) -> pb.HashedIdentifier:
    """Write an identifier as the graph keeps it."""
    declared = find_namespace(node.namespace)
    return pb.HashedIdentifier(
        namespace=node.namespace,
        keyed_hash=node.key.hex(),
        first_seen_time=to_timestamp(node.first_seen_s * SECOND_US),
        quarantined=node.quarantine_time_s is not None,
        scope="" if declared is None else declared.scope.value,
    )


def write_quarantined(found: QuarantinedNode) -> pb.QuarantinedIdentifier:
    """Write an identifier that nothing merges through."""
    node = found.node
    declared = find_namespace(node.namespace)
    return pb.QuarantinedIdentifier(
        identifier=write_node(node),
        evidence_count=found.piece_count,
        max_degree=0 if declared is None else declared.max_degree,
        quarantine_time=to_timestamp((node.quarantine_time_s or 0) * SECOND_US),
    )


def write_change(person_id: int, change: PersonsChange) -> pb.PersonChange | None:
    """Write what a change did to one of its persons; None where it only re-rated what the person has."""
    after = {part.person_id for part in change.parts}
    merged = [other for other in change.before if other not in after and person_id in after]
    separated = sorted(after - {person_id}) if person_id in change.before else []
    if not merged and not separated and person_id in change.before:
        return None
    what = "regrouped" if merged and separated else "merged" if merged else "split"
    return pb.PersonChange(
        change_time=to_timestamp(change.time_s * SECOND_US),
        change=what,
        merged_person_ids=merged,
        separated_person_ids=separated,
    )


def _write_edge(piece: Piece) -> pb.Edge:
    return pb.Edge(
        evidence_id=str(piece.evidence_id),
        keyed_hashes=[key.hex() for key in piece.members],
        evidence=pb.Evidence(
            kind=_KINDS_ON_THE_WIRE[piece.kind],
            source=piece.source,
            confidence=piece.confidence_ppm / CERTAIN_PPM,
            observe_time=to_timestamp(piece.first_seen_s * SECOND_US),
        ),
        last_observe_time=to_timestamp(piece.last_seen_s * SECOND_US),
    )
