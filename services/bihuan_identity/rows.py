"""How records of the graph are written into rows, and read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    EvidenceKind,
    Node,
    Part,
    PersonsChange,
    Piece,
)
from bihuan_identity.domain.keys import KEY_BYTES
from bihuan_identity.domain.linking import pack_ids, unpack_ids
from bihuan_identity.schema import NAMES

MAX_NAMES: Final = 10_000
OTHER_SOURCE: Final = "other"

_KINDS: Final = {EvidenceKind.DETERMINISTIC: "d", EvidenceKind.PROBABILISTIC: "p"}
_KINDS_BY_LETTER: Final = {letter: kind for kind, letter in _KINDS.items()}

NodeRow = tuple[bytes, int, int, int, int, int, int | None, int | None, int, bytes | None]
PieceRow = tuple[int, int, int, int, int, int, bytes]
ChangeRow = tuple[int, int, int, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names with their codes, both ways; they are only ever added."""

    by_code: Mapping[int, str] = field(default_factory=dict)
    by_name: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, by_code: Mapping[int, str]) -> "KnownNames":
        """Take names by their codes."""
        return cls(by_code, {name: code for code, name in by_code.items()})


class Names:
    """The codes of names, as one transaction sees them; new ones are written in it. `known` are those known now."""

    def __init__(self, connection: sa.Connection, known: KnownNames) -> None:
        self._connection = connection
        self.known = known

    def name(self, code: int) -> str:
        """Return the name of a code that is stored."""
        if code not in self.known.by_code:
            self._read()
        return self.known.by_code[code]

    def code(self, name: str) -> int:
        """Return the code of a name, writing the name where it is new."""
        if name not in self.known.by_name:
            self._read()
        if name not in self.known.by_name:
            code = max(self.known.by_code, default=0) + 1
            self._connection.execute(NAMES.insert(), {"code": code, "name": name})
            self.known = KnownNames.of({**self.known.by_code, code: name})
        return self.known.by_name[name]

    def source_code(self, kind: EvidenceKind, source: str) -> int:
        """
        Return the code of a source of evidence.

        Callers choose sources freely; beyond 10,000 names a new one is kept as `other`, so that nobody fills the table.
        """
        name = f"{_KINDS[kind]}:{source}"
        if name not in self.known.by_name and len(self.known.by_code) >= MAX_NAMES:
            name = f"{_KINDS[kind]}:{OTHER_SOURCE}"
        return self.code(name)

    def _read(self) -> None:
        self.known = KnownNames.of({row[0]: row[1] for row in self._connection.execute(sa.select(NAMES))})


def write_node(node: Node, names: Names) -> NodeRow:
    """Write an identifier as a row of `identifiers`."""
    return (
        node.key,
        names.code(node.namespace),
        node.person_id,
        CERTAIN_PPM - node.confidence_ppm,
        node.first_seen_s,
        node.epoch,
        node.ordinal,
        node.quarantine_time_s,
        int(node.loose),
        node.former_sightings or None,
    )


def read_node(row: sa.Row[*NodeRow], names: Names) -> Node:
    """Read a row of `identifiers`."""
    key, namespace, person_id, doubt_ppm, first_seen_s, epoch, ordinal, quarantine_s, loose, former = row
    return Node(
        bytes(key),
        names.name(namespace),
        person_id,
        CERTAIN_PPM - doubt_ppm,
        first_seen_s,
        epoch,
        ordinal,
        quarantine_s,
        bool(loose),
        bytes(former or b""),
    )


def write_piece(piece: Piece, names: Names) -> PieceRow:
    """Write a piece of evidence as a row of `evidence`."""
    return (
        piece.evidence_id,
        piece.person_id,
        names.source_code(piece.kind, piece.source),
        CERTAIN_PPM - piece.confidence_ppm,
        piece.first_seen_s,
        piece.last_seen_s - piece.first_seen_s,
        b"".join(piece.members),
    )


def read_piece(row: sa.Row[*PieceRow], names: Names) -> Piece:
    """Read a row of `evidence`."""
    evidence_id, person_id, source, doubt_ppm, first_seen_s, span_s, members = row
    kind, _, name = names.name(source).partition(":")
    keys = bytes(members)
    return Piece(
        evidence_id,
        person_id,
        _KINDS_BY_LETTER[kind],
        name,
        CERTAIN_PPM - doubt_ppm,
        first_seen_s,
        first_seen_s + span_s,
        tuple(keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)),
    )


def write_change(change: PersonsChange) -> ChangeRow:
    """Write a change of persons as a row of `changes`."""
    parts = [number for part in change.parts for number in (part.person_id, len(part.sightings), *part.sightings)]
    generations = [number for pair in change.generations for number in pair]
    numbers = (pack_ids(*change.before), pack_ids(*parts), pack_ids(*generations))
    return (change.change_id, change.time_s, change.evidence_id, *numbers)


def read_change(row: sa.Row[*ChangeRow]) -> PersonsChange:
    """Read a row of `changes`."""
    change_id, time_s, evidence_id, before, parts, generations = row
    pairs = iter(unpack_ids(generations))
    return PersonsChange(
        change_id,
        time_s,
        evidence_id,
        unpack_ids(before),
        tuple(_parts(unpack_ids(parts))),
        tuple(zip(pairs, pairs, strict=True)),
    )


def _parts(numbers: Sequence[int]) -> Iterator[Part]:
    at = 0
    while at < len(numbers):
        person_id, count = numbers[at : at + 2]
        yield Part(person_id, tuple(numbers[at + 2 : at + 2 + count]))
        at += 2 + count
