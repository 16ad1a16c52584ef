"""
What the persons must be, from the evidence alone: connected components, computed anew each time.

It shares no code with the service but the declarations of namespaces. An identifier is a pair (namespace, value).
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from bihuan_identity.domain.namespaces import find_namespace

Identifier = tuple[str, str]


class Reference:
    """The evidence that a client knows to be recorded, and what was taken back."""

    def __init__(self) -> None:
        self.known: set[Identifier] = set()
        self.gone: set[Identifier] = set()
        self.revoked: set[str] = set()
        self.pieces: dict[str, frozenset[Identifier]] = {}
        self._unnamed = 0

    def is_barred(self, identifier: Identifier) -> bool:
        """Whether an identifier was erased or belongs to a namespace that was given up."""
        return identifier in self.gone or identifier[0] in self.revoked

    def see(self, identifiers: Iterable[Identifier]) -> None:
        """Identifiers were seen together, which is evidence without a name."""
        self._unnamed += 1
        self.link(f"seen {self._unnamed}", identifiers)

    def link(self, evidence_id: str, identifiers: Iterable[Identifier]) -> None:
        """A piece of evidence was recorded."""
        members = frozenset(identifiers)
        self.known |= members
        if len(members) > 1:
            self.pieces[evidence_id] = members

    def unlink(self, evidence_id: str) -> None:
        """A piece was withdrawn."""
        del self.pieces[evidence_id]

    def erase(self, identifiers: Iterable[Identifier]) -> None:
        """A person was erased, with all its identifiers."""
        self.gone |= set(identifiers)
        self._forget()

    def revoke(self, namespace: str) -> None:
        """A namespace was given up."""
        self.revoked.add(namespace)
        self._forget()

    def quarantined(self) -> set[Identifier]:
        """Identifiers with more neighbours than their namespaces allow."""
        neighbours: dict[Identifier, set[Identifier]] = {}
        for members in self.pieces.values():
            for member in members:
                neighbours.setdefault(member, set()).update(members)
        return {member for member, others in neighbours.items() if len(others) - 1 > _max_degree(member[0])}

    def partition(self) -> dict[Identifier, Identifier]:
        """Every known identifier with one that stands for its person."""
        held = self.quarantined()
        leader = {identifier: identifier for identifier in self.known}

        def find(identifier: Identifier) -> Identifier:
            while leader[identifier] != identifier:
                leader[identifier] = leader[leader[identifier]]
                identifier = leader[identifier]
            return identifier

        for members in self.pieces.values():
            for one, other in pairwise(sorted(members - held)):
                leader[find(one)] = find(other)
        return {identifier: find(identifier) for identifier in self.known}

    def person_of(self, identifier: Identifier) -> set[Identifier]:
        """All identifiers of the person that a known identifier belongs to."""
        partition = self.partition()
        return {other for other, leader in partition.items() if leader == partition[identifier]}

    def _forget(self) -> None:
        self.known = {identifier for identifier in self.known if not self.is_barred(identifier)}
        left = {evidence_id: members & self.known for evidence_id, members in self.pieces.items()}
        self.pieces = {evidence_id: members for evidence_id, members in left.items() if len(members) > 1}


def differences(one: Mapping[Identifier, object], other: Mapping[Identifier, object]) -> int:
    """How many identifiers have other companions in one partition than in the other, or are in one only."""
    companions = [_companions(partition) for partition in (one, other)]
    return sum(companions[0].get(identifier) != companions[1].get(identifier) for identifier in {*one, *other})


def _companions(partition: Mapping[Identifier, object]) -> dict[Identifier, frozenset[Identifier]]:
    groups: dict[object, set[Identifier]] = {}
    for identifier, person in partition.items():
        groups.setdefault(person, set()).add(identifier)
    frozen = {person: frozenset(group) for person, group in groups.items()}
    return {identifier: frozen[person] for identifier, person in partition.items()}


def _max_degree(namespace: str) -> int:
    declared = find_namespace(namespace)
    assert declared is not None
    return declared.max_degree
