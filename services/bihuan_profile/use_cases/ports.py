"""What the use cases need from outside."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.marks import Mark
from bihuan_profile.domain.record import EMPTY, Record
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_shared.person_change import PersonsChange


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
    Where it is to `forget`, nothing is held afterwards, not even a revision.
    """

    person_id: int
    revision: int
    record: Record | None
    marks: tuple[Mark, ...] = ()
    moved_to: int = 0
    forget: bool = False


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
    """
    Everything that profiles are made of, for when one has to be made anew. Every method raises Unavailable.

    What is read are no rows of a person that was erased.
    """

    async def write(self, events: Sequence[Event]) -> None:
        """Keep events, durably on return; one may be kept more than once."""
        ...

    async def write_facts(self, facts: Sequence[ToldFact]) -> None:
        """Keep facts, durably on return; one may be kept more than once."""
        ...

    async def read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        """Events that were kept under one of some persons or sightings, in no order."""
        ...

    async def read_facts(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[ToldFact]:
        """Facts that were kept under one of some persons or sightings, in no order."""
        ...

    async def open_erasures(self, erasures: Sequence[Erasure]) -> None:
        """Keep that persons are erased, durably on return; what was kept of them is removed in the background."""
        ...


class History(Protocol):
    """All that was kept, for when everything has to be made anew. Every method raises Unavailable."""

    async def changes(self) -> list[PersonsChange]:
        """Every change of who is who that was followed, once, by number."""
        ...

    async def erased(self) -> list[Erasure]:
        """Everyone that was ever erased."""
        ...

    async def erasures_to_do(self) -> list[Erasure]:
        """Those of them of whom something may still be kept."""
        ...

    async def told_ids(self, among: Collection[int]) -> set[int]:
        """Which of some ids anything is kept under."""
        ...

    async def event_files(self) -> list[str]:
        """Names of what events are kept in, in order."""
        ...

    async def fact_files(self) -> list[str]:
        """Names of what facts are kept in, by when they were set."""
        ...

    async def events_in(self, files: Sequence[str]) -> list[Event]:
        """The events in some files, those of erased persons included; files that are gone hold none."""
        ...

    async def facts_in(self, files: Sequence[str]) -> list[ToldFact]:
        """The facts in some files, as `events_in`."""
        ...


@dataclass(frozen=True, slots=True)
class Gone:
    """
    Rows that are to go: `has` says so of an id and a sighting.

    It is asked only of rows under one of `person_ids` or `sighting_ids`.
    """

    person_ids: frozenset[int]
    sighting_ids: frozenset[int]
    has: Callable[[int, int], bool]


class Kept(Enum):
    """What is kept of persons, by kind."""

    EVENTS = "events"
    FACTS = "facts"
    EDGES = "edges"


class Rows(Protocol):
    """What is kept of persons, where rows can be taken out of it."""

    async def remove_rows(self, gone: Gone, proceed: Callable[[], Awaitable[bool]]) -> int | None:
        """
        Take out every row that `gone` names; how many there were. `proceed` is asked before each file.

        None where it said no. Raises Unavailable.
        """
        ...

    async def remove_before(self, kind: Kept, time_us: int) -> int:
        """Remove what holds only things of a kind of before an instant; how many files. Raises Unavailable."""
        ...


class Jobs(Protocol):
    """Who does what there is one of, and how far that is. Every method raises Unavailable."""

    async def lease(self, job: str, holder: str, ttl_s: float) -> bool:
        """Take or keep a job for a time; False where another one has it."""
        ...

    async def release(self, job: str, holder: str) -> None:
        """Let go of a job; nothing where another one has it."""
        ...

    async def state(self, job: str) -> str | None:
        """What was noted last; None where nothing was, or the store is new."""
        ...

    async def note(self, job: str, before: str | None, after: str) -> bool:
        """Note something, where what was noted is `before`; whether it was."""
        ...


REBUILD: Final = "rebuild"
COMPLETE: Final = "complete"


async def is_complete(jobs: Jobs) -> bool:
    """Whether everything that was kept is in the store."""
    return await jobs.state(REBUILD) == COMPLETE


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full-jitter pause between attempts of a contended write: up to 2^attempt ms, at most 64 ms."""

    random: random.Random
    sleep: Callable[[float], Awaitable[None]]

    async def pause(self, attempt: int) -> None:
        """Wait before attempt number `attempt` + 1."""
        await self.sleep(self.random.uniform(0, min(2**attempt, 64)) / 1_000)
