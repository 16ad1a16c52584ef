"""How evidence joins persons: who survives a merge, what the guards refuse, how confident each identifier then is."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    Attachment,
    Claim,
    Counters,
    Evidence,
    GraphChange,
    GraphView,
    IdentifierRow,
    KeyedIdentifier,
    LinkOutcome,
    LinkRecord,
    Merge,
    Person,
)


class GuardRefusedError(Exception):
    """A guard refuses the link; nothing changes. The text says which bound, without any identifier."""


class ContentConflictError(Exception):
    """The request id came before with other content."""


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


def plan_link(
    view: GraphView, command: LinkCommand, *, max_cluster_size: int
) -> tuple[GraphChange | None, LinkOutcome]:
    """
    Plan one link: record the evidence, attach new identifiers, merge the persons it connects.

    The oldest person (smallest id) survives; without any, a new one begins. A repeated request is answered as before
    and changes nothing (None). Raises ContentConflictError where the id came with other content, and GuardRefusedError
    where the person would have more than `max_cluster_size` identifiers, or one identifier more neighbours than its
    namespace allows.
    """
    before = view.request(command.caller, command.request_id)
    if before is not None:
        if before.body_sha256 != command.body_sha256():
            raise ContentConflictError
        return None, before.outcome
    known = view.attachments([identifier.key for identifier in command.identifiers])
    fresh = [identifier for identifier in command.identifiers if identifier.key not in known]
    person_ids = sorted({attachment.person_id for attachment in known.values()})
    members = view.members(person_ids)
    check_cluster_size(len(members) + len(fresh), max_cluster_size)
    check_degrees(command.identifiers, view.neighbours(list(known)))
    return _join(view, command, person_ids, members, fresh)


def check_cluster_size(identifiers: int, max_cluster_size: int) -> None:
    """Refuse a person of more identifiers than one can have."""
    if identifiers > max_cluster_size:
        raise GuardRefusedError(f"the person would have {identifiers} identifiers, more than {max_cluster_size}")


def check_degrees(identifiers: Sequence[KeyedIdentifier], neighbours: Mapping[bytes, AbstractSet[bytes]]) -> None:
    """Refuse to tie an identifier to more others than its namespace allows; `neighbours` are those it has already."""
    keys = {identifier.key for identifier in identifiers}
    for identifier in identifiers:
        degree = len((keys | neighbours.get(identifier.key, frozenset())) - {identifier.key})
        if degree > identifier.max_degree:
            raise GuardRefusedError(
                f"one {identifier.namespace} would have {degree} neighbours, more than {identifier.max_degree}"
            )


def _join(
    view: GraphView,
    command: LinkCommand,
    person_ids: Sequence[int],
    members: Mapping[bytes, Attachment],
    fresh: Sequence[KeyedIdentifier],
) -> tuple[GraphChange, LinkOutcome]:
    counters = view.counters()
    evidence = _evidence(command, counters.evidence_id)
    persons: tuple[Person, ...] = ()
    if person_ids:
        survivor_id, founder = person_ids[0], view.founder(person_ids[0])
    else:
        survivor_id, founder = counters.person_id, command.identifiers[0].key
        persons = (Person(survivor_id, founder, command.time_us),)
    absorbed = person_ids[1:]
    confidences = _confidences(view, evidence, founder, members)
    outcome = LinkOutcome(survivor_id, tuple(absorbed), evidence.evidence_id)
    after = {key: Attachment(survivor_id, confidences[key]) for key in confidences}
    change = GraphChange(
        counters=Counters(
            counters.person_id + len(persons), counters.evidence_id + 1, counters.merge_id + len(absorbed)
        ),
        persons=persons,
        identifiers=tuple(
            IdentifierRow(identifier.key, identifier.namespace, after[identifier.key], command.time_us)
            for identifier in fresh
        ),
        moves=tuple((key, after[key]) for key, was in members.items() if after[key] != was),
        evidence=(evidence,),
        merges=tuple(
            Merge(counters.merge_id + offset, survivor_id, person_id, evidence.evidence_id, command.time_us)
            for offset, person_id in enumerate(absorbed)
        ),
        request=LinkRecord(command.caller, command.request_id, command.body_sha256(), command.time_us, outcome),
    )
    return change, outcome


def _evidence(command: LinkCommand, evidence_id: int) -> Evidence:
    claim = command.claim
    return Evidence(
        evidence_id=evidence_id,
        kind=claim.kind,
        source=claim.source,
        confidence_ppm=claim.confidence_ppm,
        observe_time_us=command.time_us if claim.observe_time_us is None else claim.observe_time_us,
        record_time_us=command.time_us,
        members=tuple(identifier.key for identifier in command.identifiers),
    )


def _confidences(
    view: GraphView, evidence: Evidence, founder: bytes, members: Mapping[bytes, Attachment]
) -> dict[bytes, int]:
    certain = evidence.confidence_ppm == CERTAIN_PPM
    if certain and all(attachment.confidence_ppm == CERTAIN_PPM for attachment in members.values()):
        # Nothing uncertain is involved, so the evidence of the whole person need not be read.
        return dict.fromkeys([*members, *evidence.members], CERTAIN_PPM)
    return strongest_paths(founder, [*view.evidence(list(members)), evidence])


def strongest_paths(founder: bytes, evidence: Iterable[Evidence]) -> dict[bytes, int]:
    """
    Return, for every key that evidence connects with `founder`, the confidence of its strongest path there.

    A path is as strong as its weakest piece of evidence (millionths); the founder itself is certain. Pieces are added
    from the strongest down, so a key's confidence is that of the piece which first connects it.
    """
    groups: dict[bytes, set[bytes]] = {founder: {founder}}
    confidences = {founder: CERTAIN_PPM}
    for piece in sorted(evidence, key=lambda piece: -piece.confidence_ppm):
        parts = {id(group): group for group in (groups.setdefault(key, {key}) for key in piece.members)}
        if len(parts) == 1:
            continue
        joined = set().union(*parts.values())
        for key in joined:
            groups[key] = joined
        if founder in joined:
            for key in joined:
                confidences.setdefault(key, piece.confidence_ppm)
    return confidences
