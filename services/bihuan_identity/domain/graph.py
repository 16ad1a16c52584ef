"""The records of the evidence graph, and what a rule may ask of it and change in it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

CERTAIN_PPM: Final = 1_000_000
"""Confidence 1, in millionths. Confidences are integers so that every store answers the same figure."""

MAX_ITEM_IDENTIFIERS: Final = 32
"""The most identifiers that one call may say belong together (the wire contract's bound)."""

MAX_GENERATION: Final = 255
"""Where generations end; index entries of such a person are never believed again."""

MAX_PERSON_ID: Final = 2**36 - 1
"""Ids above it are never handed out (the index keeps ids in 36 bits)."""

LONGEST_TTL_US: Final = 730 * 86_400 * 1_000_000
"""The longest that a tie holds without being seen again: two years, in microseconds."""

SIGHTING_BYTES: Final = 8
"""A sighting is named by the first bytes of its key; see `Node.sightings`."""


class EvidenceKind(StrEnum):
    """Whether a link was observed or inferred."""

    DETERMINISTIC = "deterministic"
    PROBABILISTIC = "probabilistic"


class KeyedIdentifier(NamedTuple):
    """
    An identifier as the graph knows it: 16-byte keyed hash, and its namespace with that one's trust and bounds.

    A tuple, because a batch makes thousands and a frozen dataclass takes three times as long to make.

    `previous_key` is the hash under the pepper before the current one, while that one is still read. `ttl_us` is how
    long, in microseconds, a tie to it holds after it was last seen.
    """

    key: bytes
    namespace: str
    trust_ppm: int
    max_degree: int
    previous_key: bytes | None = None
    ttl_us: int = LONGEST_TTL_US


@dataclass(frozen=True, slots=True)
class Attachment:
    """
    Where an identifier belongs.

    `confidence_ppm` (millionths) is that of the weakest link on its best path to what the person began with;
    `generation` counts how often the person gave up or re-rated identifiers, so that older copies are known to be old.
    """

    person_id: int
    confidence_ppm: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Why identifiers are said to belong together, without the identifiers. `observe_time_us` None means: now."""

    kind: EvidenceKind
    source: str
    confidence_ppm: int
    observe_time_us: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """
    A current piece of evidence: the identifiers `members` belong together. Times in seconds since the epoch.

    It is kept with `person_id`, the person of those of its members that nothing forbids to merge.
    """

    evidence_id: int
    person_id: int
    kind: EvidenceKind
    source: str
    confidence_ppm: int
    first_seen_s: int
    last_seen_s: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """
    A known identifier.

    `ordinal` places its first sighting among the evidence where it was first seen alone; None where a piece of evidence
    brought it. `quarantine_time_s` is set while it connects too many others. `loose` nodes cannot be found through the
    evidence of their person: they have none, or are quarantined. `former_sightings` names it under earlier peppers.
    """

    key: bytes
    namespace: str
    person_id: int
    confidence_ppm: int
    first_seen_s: int
    epoch: int
    ordinal: int | None = None
    quarantine_time_s: int | None = None
    loose: bool = False
    former_sightings: bytes = b""

    def sightings(self) -> tuple[int, ...]:
        """Return every handle under which events of this identifier were recorded."""
        handles = self.former_sightings + self.key[:SIGHTING_BYTES]
        return tuple(
            int.from_bytes(handles[at : at + SIGHTING_BYTES], "big") for at in range(0, len(handles), SIGHTING_BYTES)
        )


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as created, the ordinal of the evidence that its id rests on (0: none), and its generation."""

    person_id: int
    create_time_s: int
    anchor: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Alias:
    """`alias_id` stands for `person_id` now. `anchor` is the ordinal of the evidence that it was absorbed with."""

    alias_id: int
    person_id: int
    anchor: int


@dataclass(frozen=True, slots=True)
class Part:
    """One person after a change, with the sightings that are its own where the change has several parts."""

    person_id: int
    sightings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonsChange:
    """
    What belonged to any of the persons `before` belongs to `parts` now. Numbered in the order of commit, without gaps.

    `generations` are the persons whose older index entries are void, each with its new generation. `evidence_id` is 0
    where no single piece of evidence caused it.
    """

    change_id: int
    time_s: int
    evidence_id: int
    before: tuple[int, ...]
    parts: tuple[Part, ...]
    generations: tuple[tuple[int, int], ...] = ()


class Operation(StrEnum):
    """What a recorded request asked for."""

    LINK = "link"
    UNLINK = "unlink"
    ERASE = "erase"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that was carried out: who asked, under which id, the digest of its content, and the answer given."""

    caller: str
    request_id: str
    operation: Operation
    body_sha256: bytes
    time_s: int
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Erasure:
    """A person that was erased: which ids it had, and the keys that may not come back, ascending."""

    erasure_id: int
    time_s: int
    person_ids: tuple[int, ...]
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Counters:
    """The next free ids. Whoever changes the graph holds them, so changes come one after the other."""

    person_id: int = 1
    evidence_id: int = 1
    change_id: int = 1


@dataclass(frozen=True, slots=True)
class GraphChange:
    """
    Everything that one decision writes; a store applies all of it or nothing.

    `nodes`, `persons`, `pieces` and `aliases` replace what is there. `ties` are pairs (quarantined key, evidence id).
    """

    counters: Counters
    nodes: tuple[Node, ...] = ()
    gone_nodes: tuple[bytes, ...] = ()
    persons: tuple[PersonRow, ...] = ()
    pieces: tuple[Piece, ...] = ()
    gone_pieces: tuple[int, ...] = ()
    aliases: tuple[Alias, ...] = ()
    gone_aliases: tuple[int, ...] = ()
    ties: tuple[tuple[bytes, int], ...] = ()
    gone_ties: tuple[tuple[bytes, int], ...] = ()
    changes: tuple[PersonsChange, ...] = ()
    erasures: tuple[Erasure, ...] = ()
    tombstones_carried: tuple[tuple[bytes, bytes], ...] = ()
    revocations: tuple[tuple[str, bytes | None], ...] = ()
    """Namespaces that are given up, each with the key up to which its identifiers are forgotten; None when all are."""
    requests: tuple[RequestRecord, ...] = ()
    attachments: Mapping[bytes, Attachment] | None = None
    """Where every node that is new or has moved belongs now, for the index."""


@dataclass(frozen=True, slots=True)
class PersonView:
    """All that is known of a standing person; lists are ordered oldest first."""

    person: PersonRow
    nodes: tuple[Node, ...]
    pieces: tuple[Piece, ...]
    changes: tuple[PersonsChange, ...]
    alias_ids: tuple[int, ...]


class GraphView(Protocol):
    """What a rule may read while it decides; the store shows one state that nobody else changes meanwhile."""

    def counters(self) -> Counters:
        """Return the next free ids."""

    def nodes(self, keys: Sequence[bytes]) -> Mapping[bytes, Node]:
        """Return each known node; unknown keys are left out."""

    def loose_nodes(self, person_ids: Sequence[int]) -> Sequence[Node]:
        """Return the loose nodes of these persons."""

    def pieces_of(self, person_ids: Sequence[int]) -> Sequence[Piece]:
        """Return every piece of evidence kept with these persons, oldest first."""

    def pieces_tied(self, key: bytes, limit: int) -> Sequence[Piece]:
        """Return up to `limit` pieces that name this quarantined key, oldest first."""

    def tie_count(self, key: bytes, limit: int) -> int:
        """Return how many pieces name this quarantined key; not counted beyond `limit`."""

    def piece(self, evidence_id: int) -> Piece | None:
        """Return one piece; None where there is none such any more."""

    def pieces_after(self, evidence_id: int, limit: int) -> Sequence[Piece]:
        """Return the next pieces above an evidence id, ascending."""

    def nodes_after(self, key: bytes, limit: int) -> Sequence[Node]:
        """Return the next nodes above a key, ascending."""

    def persons(self, person_ids: Sequence[int]) -> Mapping[int, PersonRow]:
        """Return these persons as created; unknown ids are left out."""

    def aliases_of(self, person_ids: Sequence[int]) -> Sequence[Alias]:
        """Return the aliases that stand for these persons."""

    def alias(self, person_id: int) -> int:
        """Return the person that stands for this id: itself where it is no alias."""

    def tombstones(self, keys: Sequence[bytes]) -> AbstractSet[bytes]:
        """Return which of these keys were erased."""

    def erased_keys(self, erasure_id: int) -> tuple[bytes, ...]:
        """Return the keys that an erasure left tombstones of, ascending."""

    def revoked_namespaces(self) -> AbstractSet[str]:
        """Return the namespaces that were given up."""

    def revocation(self, namespace: str) -> bytes | None:
        """Return up to which key the identifiers of a namespace are forgotten; None when all are."""

    def requests(self, ids: Sequence[tuple[str, str]]) -> Sequence[RequestRecord]:
        """Return what was asked for under these pairs of caller and request id."""
