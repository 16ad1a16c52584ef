"""Translation between messages and domain records; what does not translate is named by its field path."""

from collections.abc import Iterable
from typing import Final

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, Evidence, EvidenceKind, KeyedIdentifier, PersonView
from bihuan_identity.domain.keys import KeyHasher, UnknownNamespaceError
from bihuan_identity.domain.namespaces import ValueRefusedError
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_shared.clock import MINUTE_US, to_timestamp, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument

MAX_VIOLATIONS: Final = 32
MAX_CLOCK_SKEW_US: Final = 5 * MINUTE_US
"""How far ahead of the service's clock an observation may lie."""

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


def read_claim(evidence: pb.Evidence, now_us: int, violations: list[FieldViolation]) -> Claim:
    """Read why identifiers belong together; what contradicts itself is added to `violations`."""
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
    return Claim(kind, evidence.source, confidence_ppm, observe_time_us)


def write_resolution(resolution: Resolution) -> pb.ResolveResult:
    """Write one result; nobody known leaves the person unset."""
    if resolution.person_id is None:
        return pb.ResolveResult()
    return pb.ResolveResult(
        person_id=resolution.person_id,
        confidence=resolution.confidence_ppm / CERTAIN_PPM,
        created=resolution.created,
        ambiguous=resolution.ambiguous,
    )


def write_person(view: PersonView) -> pb.GetPersonResponse:
    """Write a person with its identifiers, evidence, history and aliases."""
    created = pb.PersonChange(change_time=to_timestamp(view.person.create_time_us), change="created")
    merged = (
        pb.PersonChange(
            change_time=to_timestamp(merge.merge_time_us), change="merged", merged_person_id=merge.absorbed_id
        )
        for merge in view.merges
    )
    return pb.GetPersonResponse(
        person_id=view.person.person_id,
        identifiers=[
            pb.HashedIdentifier(
                namespace=row.namespace,
                keyed_hash=row.key.hex(),
                first_seen_time=to_timestamp(row.first_seen_time_us),
            )
            for row in view.identifiers
        ],
        edges=[_write_edge(piece) for piece in view.evidence],
        history=[created, *merged],
        alias_person_ids=view.alias_ids,
    )


def _write_edge(piece: Evidence) -> pb.Edge:
    return pb.Edge(
        evidence_id=str(piece.evidence_id),
        keyed_hashes=[key.hex() for key in piece.members],
        evidence=pb.Evidence(
            kind=_KINDS_ON_THE_WIRE[piece.kind],
            source=piece.source,
            confidence=piece.confidence_ppm / CERTAIN_PPM,
            observe_time=to_timestamp(piece.observe_time_us),
        ),
    )
