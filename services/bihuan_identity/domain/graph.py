"""The records of the evidence graph, and what a rule may ask of it and change in it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

CERTAIN_PPM = 1_000_000
"""Confidence 1, in millionths. Confidences are integers so that every store answers the same figure."""

MAX_ITEM_IDENTIFIERS = 32
"""The most identifiers that one call may say belong together (the wire contract's bound)."""

RESOLVE_SOURCE = "resolve"
"""The source of evidence that comes from seeing identifiers together in one request."""


class EvidenceKind(StrEnum):
    """Whether a link was observed or inferred."""

    DETERMINISTIC = "deterministic"
    PROBABILISTIC = "probabilistic"


@dataclass(frozen=True, slots=True)
class KeyedIdentifier:
    """An identifier as the graph knows it: 16-byte keyed hash, and its namespace with that one's trust and bound."""

    key: bytes
    namespace: str
    trust_ppm: int
    max_degree: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where an identifier belongs, and the confidence (millionths) of the weakest link on its best path there."""

    person_id: int
    confidence_ppm: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Why identifiers are said to belong together, without the identifiers. `observe_time_us` None means: now."""

    kind: EvidenceKind
    source: str
    confidence_ppm: int
    observe_time_us: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A recorded claim with the keys it ties together. Times in microseconds since the epoch."""

    evidence_id: int
    kind: EvidenceKind
    source: str
    confidence_ppm: int
    observe_time_us: int
    record_time_us: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A person as created; `founder` is the key of the identifier that confidences are measured from."""

    person_id: int
    founder: bytes
    create_time_us: int


@dataclass(frozen=True, slots=True)
class IdentifierRow:
    """A stored identifier."""

    key: bytes
    namespace: str
    attachment: Attachment
    first_seen_time_us: int


@dataclass(frozen=True, slots=True)
class Merge:
    """The person `absorbed_id` became part of `survivor_id`. Numbered in the order of commit, without gaps."""

    merge_id: int
    survivor_id: int
    absorbed_id: int
    evidence_id: int
    merge_time_us: int


@dataclass(frozen=True, slots=True)
class LinkOutcome:
    """What a link led to: the surviving person, the persons merged into it by this link, the evidence recorded."""

    person_id: int
    merged_person_ids: tuple[int, ...]
    evidence_id: int


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link request that was carried out: who asked, under which id, the digest of its content, and its outcome."""

    caller: str
    request_id: str
    body_sha256: bytes
    record_time_us: int
    outcome: LinkOutcome


@dataclass(frozen=True, slots=True)
class Counters:
    """The next free ids. Whoever changes the graph holds them, so changes come one after the other."""

    person_id: int = 1
    evidence_id: int = 1
    merge_id: int = 1


@dataclass(frozen=True, slots=True)
class GraphChange:
    """Everything that one decision writes; a store applies all of it or nothing."""

    counters: Counters
    persons: tuple[Person, ...] = ()
    identifiers: tuple[IdentifierRow, ...] = ()
    moves: tuple[tuple[bytes, Attachment], ...] = ()
    evidence: tuple[Evidence, ...] = ()
    merges: tuple[Merge, ...] = ()
    request: LinkRecord | None = None

    def attachments(self) -> dict[bytes, Attachment]:
        """Return where every new or moved identifier belongs now."""
        return {row.key: row.attachment for row in self.identifiers} | dict(self.moves)


@dataclass(frozen=True, slots=True)
class PersonView:
    """All that is known of a surviving person; lists are ordered oldest first."""

    person: Person
    identifiers: tuple[IdentifierRow, ...]
    evidence: tuple[Evidence, ...]
    merges: tuple[Merge, ...]
    alias_ids: tuple[int, ...]


class GraphView(Protocol):
    """What a rule may read while it decides; the store shows one state that nobody else changes meanwhile."""

    def counters(self) -> Counters:
        """Return the next free ids."""

    def attachments(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs; unknown keys are left out."""

    def neighbours(self, keys: Sequence[bytes]) -> Mapping[bytes, AbstractSet[bytes]]:
        """Return, for each key with evidence, the other keys that share a piece of evidence with it."""

    def members(self, person_ids: Sequence[int]) -> Mapping[bytes, Attachment]:
        """Return every identifier of these persons."""

    def sizes(self, person_ids: Sequence[int]) -> Mapping[int, int]:
        """Return how many identifiers each of these persons has."""

    def evidence(self, keys: Sequence[bytes]) -> Sequence[Evidence]:
        """Return every piece of evidence that has one of these keys as a member, oldest first."""

    def founder(self, person_id: int) -> bytes:
        """Return the founding key of a person that exists."""

    def request(self, caller: str, request_id: str) -> LinkRecord | None:
        """Return the link that this caller asked for under this id, if any."""
