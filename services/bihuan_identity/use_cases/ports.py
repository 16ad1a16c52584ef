"""What identity's use cases ask of the world."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bihuan_identity.domain.graph import Attachment, GraphChange, GraphView, Node, PersonsChange, PersonView

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """Which ids are not, or no longer in the same way, what older index entries say; as of the change `change_id`."""

    change_id: int
    absorbed: Sequence[int]
    erased: Sequence[int]
    generations: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class QuarantinedNode:
    """An identifier that nothing merges through, and how many pieces of evidence name it."""

    node: Node
    piece_count: int


class GraphStore(Protocol):
    """The truth. Every method raises Unavailable where the store does not answer."""

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs, in one query; unknown keys are left out."""

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        """
        Carry out one plan: show it the graph, apply its change whole, commit, then return its second part.

        Nobody else changes the graph between what the plan reads and the commit. The plan may run more than once, and
        what it raises passes through with nothing changed.
        """

    async def person(self, person_id: int) -> PersonView | None:
        """Return the person that stands for this id now, aliases followed; None where there is none (any more)."""

    async def standing(self) -> Standing:
        """Return all ids whose index entries need care."""

    async def changes_after(self, change_id: int, limit: int) -> Sequence[PersonsChange]:
        """Return up to `limit` changes of persons above `change_id`, ascending."""

    async def quarantined_after(self, key: bytes, limit: int) -> Sequence[QuarantinedNode]:
        """Return up to `limit` quarantined identifiers above a key, ascending."""


class IdentifierIndex(Protocol):
    """A fast copy of the truth. It may be empty, late or away; every method raises Unavailable when it is away."""

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return what is indexed of these keys."""

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        """Index these keys, in place of what is there."""

    async def remove(self, keys: Sequence[bytes]) -> None:
        """Forget what is indexed of these keys."""


class ChangeStream(Protocol):
    """Where changes of persons are published, each once, in order."""

    async def last_change_id(self) -> int:
        """Return the newest change that was published; 0 before the first. Raises Unavailable."""

    async def publish(self, changes: Sequence[PersonsChange]) -> None:
        """Publish changes, ascending; those that are published already are left out. Raises Unavailable."""
