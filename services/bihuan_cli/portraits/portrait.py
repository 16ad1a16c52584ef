"""One person with its evidence, read from identity's answer."""

from dataclasses import dataclass
from typing import Final

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.clock import format_rfc3339, to_us

SHOWN_HEX_DIGITS: Final = 8
"""How much of a keyed hash is shown: enough to tell a person's identifiers apart, too little to be looked up by."""

OUTSIDE: Final = "outside"
"""The scope of an identifier that evidence names and that belongs to somebody else now, or was erased."""

_KINDS: Final = {
    pb.EVIDENCE_KIND_DETERMINISTIC: "deterministic",
    pb.EVIDENCE_KIND_PROBABILISTIC: "probabilistic",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """An identifier. `handle` tells it apart within the portrait; `label` is what may be shown."""

    handle: str
    namespace: str
    scope: str
    label: str
    first_seen_time: str
    quarantined: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence over the identifiers with these handles. Times are RFC 3339; confidence is in (0, 1]."""

    evidence_id: str
    kind: str
    source: str
    confidence: float
    first_seen_time: str
    last_seen_time: str
    handles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A change in who the person is."""

    time: str
    change: str
    merged_person_ids: tuple[int, ...]
    separated_person_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that identity tells of a person; `marks` hold the person's own identifiers first, then outside ones."""

    person_id: int
    alias_person_ids: tuple[int, ...]
    marks: tuple[Mark, ...]
    pieces: tuple[Piece, ...]
    history: tuple[Event, ...]

    def by_handle(self) -> dict[str, Mark]:
        """The marks by their handles."""
        return {mark.handle: mark for mark in self.marks}


def read_portrait(answer: pb.GetPersonResponse) -> Portrait:
    """Read what GetPerson answered."""
    own = [_mark(identifier) for identifier in answer.identifiers]
    pieces = tuple(_piece(edge) for edge in answer.edges)
    known = {mark.handle for mark in own}
    named = dict.fromkeys(handle for piece in pieces for handle in piece.handles)
    outside = [
        Mark(handle, "", OUTSIDE, handle[:SHOWN_HEX_DIGITS], "", quarantined=False)
        for handle in named
        if handle not in known
    ]
    history = (
        Event(
            format_rfc3339(to_us(change.change_time)),
            change.change,
            tuple(change.merged_person_ids),
            tuple(change.separated_person_ids),
        )
        for change in answer.history
    )
    return Portrait(
        person_id=answer.person_id,
        alias_person_ids=tuple(answer.alias_person_ids),
        marks=(*own, *outside),
        pieces=pieces,
        history=tuple(history),
    )


def as_json(portrait: Portrait) -> dict[str, object]:
    """The portrait for machines; identifiers are named by their labels."""
    labels = {mark.handle: mark.label for mark in portrait.marks}
    return {
        "person_id": portrait.person_id,
        "alias_person_ids": portrait.alias_person_ids,
        "identifiers": [
            {
                "identifier": mark.label,
                "namespace": mark.namespace,
                "scope": mark.scope,
                "first_seen_time": mark.first_seen_time,
                "quarantined": mark.quarantined,
            }
            for mark in portrait.marks
        ],
        "evidence": [
            {
                "evidence_id": piece.evidence_id,
                "kind": piece.kind,
                "source": piece.source,
                "confidence": piece.confidence,
                "first_seen_time": piece.first_seen_time,
                "last_seen_time": piece.last_seen_time,
                "identifiers": [labels[handle] for handle in piece.handles],
            }
            for piece in portrait.pieces
        ],
        "history": [
            {
                "time": event.time,
                "change": event.change,
                "merged_person_ids": event.merged_person_ids,
                "separated_person_ids": event.separated_person_ids,
            }
            for event in portrait.history
        ],
    }


def _mark(identifier: pb.HashedIdentifier) -> Mark:
    return Mark(
        handle=identifier.keyed_hash,
        namespace=identifier.namespace,
        scope=identifier.scope,
        label=f"{identifier.namespace} {identifier.keyed_hash[:SHOWN_HEX_DIGITS]}",
        first_seen_time=format_rfc3339(to_us(identifier.first_seen_time)),
        quarantined=identifier.quarantined,
    )


def _piece(edge: pb.Edge) -> Piece:
    first_us = to_us(edge.evidence.observe_time)
    last_us = to_us(edge.last_observe_time) if edge.HasField("last_observe_time") else first_us
    return Piece(
        evidence_id=edge.evidence_id,
        kind=_KINDS.get(edge.evidence.kind, "unknown"),
        source=edge.evidence.source,
        confidence=edge.evidence.confidence,
        first_seen_time=format_rfc3339(first_us),
        last_seen_time=format_rfc3339(last_us),
        handles=tuple(edge.keyed_hashes),
    )
