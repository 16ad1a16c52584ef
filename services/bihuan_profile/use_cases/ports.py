"""What the use cases need from outside."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.marks import Mark
from bihuan_profile.domain.record import EMPTY, Record


@dataclass(frozen=True, slots=True)
class Held:
    """
    What a store holds about a person.

    `revision` changes with every write and is 0 where nothing is held. Of an erased person only that is held. Where
    `moved_to` is not 0, the person lives on under that id; its record is held until it was folded into the survivor's.
    """

    record: Record = EMPTY
    revision: int = 0
    erased: bool = False
    moved_to: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A person to read before a change, and the marks to look for."""

    person_id: int
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is held, and of each mark asked for whether it is there already."""

    held: Held
    seen: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """
    A new record (None erases) that may be written only over `revision`, with the marks of the events in it.

    Record and marks are written in one step or not at all. `moved_to` says that the person lives on under that id.
    """

    person_id: int
    revision: int
    record: Record | None
    marks: tuple[Mark, ...] = ()
    moved_to: int = 0


class ProfileStore(Protocol):
    """Keeps records. Every method raises Unavailable when the store does not answer in time."""

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order."""
        ...

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person and which marks are known, in the same order; a person comes once."""
        ...

    async def compare_and_set(self, changes: Sequence[Change]) -> list[bool]:
        """
        Of each change whether it was written; False where the revision has moved on. A person comes once.

        After Unavailable some may have been written.
        """
        ...

    def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Every person who is not erased or part of another, in batches; one may come twice when written meanwhile."""
        ...

    async def followed(self) -> int | None:
        """The last change of who is who that was followed; None where the store is new."""
        ...

    async def note_followed(self, change_id: int) -> None:
        """Note how far changes were followed."""
        ...

    async def ping(self) -> bool:
        """Whether the store answers."""
        ...


class Journal(Protocol):
    """Every event that was taken in, for when a profile has to be made anew. Both methods raise Unavailable."""

    async def write(self, events: Sequence[Event]) -> None:
        """Keep events, durably on return; one may be kept more than once."""
        ...

    async def read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        """Events that were kept under one of some persons or sightings, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full-jitter pause between attempts of a contended write: up to 2^attempt ms, at most 64 ms."""

    random: random.Random
    sleep: Callable[[float], Awaitable[None]]

    async def pause(self, attempt: int) -> None:
        """Wait before attempt number `attempt` + 1."""
        await self.sleep(self.random.uniform(0, min(2**attempt, 64)) / 1_000)
