"""Events on their way into the records of the persons that theirs are now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.marks import Mark, mark_of, mark_under
from bihuan_profile.domain.record import fold
from bihuan_profile.use_cases.ports import Answer, Ask, Change, Held

PERSON_ERASED: Final = "PERSON_ERASED"


class Outcome(IntEnum):
    """What became of an event; the numbers are those of `bihuan.profile.v1`."""

    ACCEPTED = 1
    DUPLICATE = 2
    REJECTED = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an event, and why it was rejected."""

    outcome: Outcome
    reason: str = ""


_ACCEPTED: Final = Result(Outcome.ACCEPTED)
_DUPLICATE: Final = Result(Outcome.DUPLICATE)


class Taking:
    """
    One batch, in rounds: an event whose person lives on under another id, or whose sighting went to another person,
    goes there in the next round.

    An event that comes back to a person stays there: its sighting has come back too. A repeated event is known by the
    mark under its person's id or under one that the person had before.
    """

    def __init__(self, events: Sequence[Event], *, settled: bool = False) -> None:
        """Events that are `settled` are known to be their person's: no sighting and no former id is looked at."""
        self._settled = settled
        self._events = list(events)
        self._visited: list[set[int]] = [{event.person_id} for event in events]
        self._moving: dict[int, int] = {}
        self._former: dict[int, tuple[int, ...]] = {}
        self._by_person: dict[int, list[int]] = {}
        self._new: dict[int, list[int]] = {}
        self._kept: set[int] = set()
        self.open = set(range(len(events)))
        self.results = [_DUPLICATE] * len(events)

    def asks(self) -> list[Ask]:
        """The persons of this round, and the marks of their events."""
        self._by_person = {}
        for index in sorted(self.open):
            self._by_person.setdefault(self._events[index].person_id, []).append(index)
        return [Ask(person_id, self._marks(person_id, indices)) for person_id, indices in self._by_person.items()]

    def _marks(self, person_id: int, indices: Sequence[int]) -> tuple[Mark, ...]:
        own = [mark_of(self._events[index]) for index in indices]
        former = self._former.get(person_id, ())
        return (*own, *(mark_under(self._events[index], one) for one in former for index in indices))

    def decide(self, ask: Ask, answer: Answer) -> Change | None:
        """What is to be written of a person; called again where somebody else was faster."""
        indices, held = self._by_person[ask.person_id], answer.held
        self._new.pop(ask.person_id, None)
        for index in indices:
            self._moving.pop(index, None)
        if held.erased:
            self._note(indices, Result(Outcome.REJECTED, PERSON_ERASED))
            return None
        staying = [index for index in indices if not self._passes_on(index, held)]
        if not staying:
            return None
        if not self._settled and not set(held.record.former_ids) <= set(self._former.get(ask.person_id, ())):
            self._former[ask.person_id] = held.record.former_ids
            self._moving |= dict.fromkeys(staying, ask.person_id)
            return None
        new = self._unseen(indices, staying, ask.marks, answer.seen)
        self._note(staying, _DUPLICATE)
        self._note(new, _ACCEPTED)
        if not new:
            return None
        self._new[ask.person_id] = new
        record = fold(held.record, [self._events[index] for index in new])
        return Change(ask.person_id, held.revision, record, tuple(mark_of(self._events[index]) for index in new))

    def _passes_on(self, index: int, held: Held) -> bool:
        target = held.moved_to
        if not target and not self._settled:
            target = held.record.moved_sightings.get(self._events[index].sighting_id, 0)
            if target in self._visited[index]:
                return False
        if target:
            self._moving[index] = target
        return bool(target)

    def _unseen(
        self, indices: Sequence[int], staying: Sequence[int], marks: Sequence[Mark], seen: Sequence[bool]
    ) -> list[int]:
        count = len(indices)
        known = {indices[place % count] for place, flag in enumerate(seen) if flag}
        first: dict[Mark, int] = {}
        for index, mark in zip(indices, marks, strict=False):
            if index in staying and index not in known:
                first.setdefault(mark, index)
        return list(first.values())

    def go_on(self) -> None:
        """The round is done: what has to go on is open, everything else is not."""
        self.open = set(self._moving)
        for index, person_id in self._moving.items():
            self._visited[index].add(person_id)
            self._events[index] = replace(self._events[index], person_id=person_id)
        self._moving = {}
        self._new = {}

    def unkept(self) -> list[Event]:
        """New events of this round that were not kept yet."""
        return [self._events[index] for new in self._new.values() for index in new if index not in self._kept]

    def kept(self, _events: Iterable[Event]) -> None:
        """Note that what `unkept` gave is kept."""
        self._kept.update(index for new in self._new.values() for index in new)

    def _note(self, indices: Iterable[int], result: Result) -> None:
        for index in indices:
            self.results[index] = result
