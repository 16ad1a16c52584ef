"""
Who was who at a position of billing, for the independent fold.

A click and an order meet when the later of the two is billed, so what joins them is who was who then. This reads the
changes that were followed, not what billing made of them. It holds all changes in memory.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import sqlalchemy as sa

from bihuan_attribution import schema

_ERASED = 0
_FIRST, _LAST = -1, 2**63 - 1
Told = tuple[int, int]
"""A person as it was told, and the sighting that led to it, 0 for none."""


class PersonHistory:
    """Every change of who is who, with the last position that was billed before it."""

    def __init__(self) -> None:
        self._sightings: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._aliases: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._circles: dict[int, int] = {}
        self.changed: set[int] = set()
        """Every person that was in a change."""

    def add(self, position: int, before: Iterable[int], parts: Mapping[int, Iterable[int]]) -> None:
        """Add the next change."""
        before = list(before)
        self.changed |= {*before, *parts}
        for person_id in parts:
            self._aliases[person_id].append((position, person_id))
        if len(parts) <= 1:
            survivor_id = next(iter(parts), _ERASED)
            for person_id in before:
                if person_id not in parts:
                    self._aliases[person_id].append((position, survivor_id))
        for person_id, sightings in parts.items():
            for sighting in sightings:
                self._sightings[sighting].append((position, person_id))
        self._unite([*before, *parts])

    def concerns(self, told: Told) -> bool:
        """Whether any change may have made another person of what was told."""
        return told[0] in self._aliases or (told[1] != 0 and told[1] in self._sightings)

    def circle(self, told: Told) -> int:
        """One of all persons that were ever in one change with this one, or with one of those."""
        owners = [owner for _, owner in self._sightings.get(told[1], ())] if told[1] else []
        self._unite([told[0], *owners])
        return self._root(told[0])

    def spans(self, told: Told) -> Iterator[tuple[int, int, int]]:
        """Whom it was told of: `(after, until, person)` for positions in `(after, until]`, over all positions."""
        bounds = [_FIRST, *sorted(self._moments(told)), _LAST]
        begin, who = _FIRST, self._at(told, 0)
        for after in bounds[1:-1]:
            person_id = self._at(told, after + 1)
            if person_id != who:
                yield begin, after, who
                begin, who = after, person_id
        yield begin, _LAST, who

    def same(self, one: Told, other: Told, position: int) -> bool:
        """Whether what was told of two persons was of one when `position` was billed."""
        first = self._at(one, position)
        return first != _ERASED and first == self._at(other, position)

    def erased(self, told: Told, position: int) -> bool:
        """Whether what was told of a person was of nobody any more when `position` was billed."""
        return self._at(told, position) == _ERASED

    def _moments(self, told: Told) -> set[int]:
        """Positions at which the answer may change: those of all changes of persons that can be reached from here."""
        steps = list(self._sightings.get(told[1], ())) if told[1] else []
        found, ahead, seen = {at for at, _ in steps}, {told[0], *(owner for _, owner in steps)}, set[int]()
        while ahead:
            person_id = ahead.pop()
            seen.add(person_id)
            for at, survivor_id in self._aliases.get(person_id, ()):
                found.add(at)
                ahead |= {survivor_id} - seen
        return found

    def _at(self, told: Told, position: int) -> int:
        person_id, sighting = told
        if sighting:
            person_id = _latest(self._sightings.get(sighting, []), position, person_id)
        while (survivor_id := _latest(self._aliases.get(person_id, []), position, person_id)) != person_id:
            person_id = survivor_id
        return person_id

    def _root(self, person_id: int) -> int:
        while (above := self._circles.get(person_id, person_id)) != person_id:
            person_id = above
        return person_id

    def _unite(self, persons: Iterable[int]) -> None:
        roots = {self._root(one) for one in persons}
        for root in roots:
            self._circles[root] = min(roots)


def _latest(steps: list[tuple[int, int]], position: int, otherwise: int) -> int:
    """What holds at a position: of changes that came before it the last."""
    return next((value for at, value in reversed(steps) if at < position), otherwise)


def read_history(connection: sa.Connection) -> PersonHistory:
    """The history up to the last change that was followed."""
    history = PersonHistory()
    table = schema.followed_changes
    for row in connection.execute(sa.select(table).order_by(table.c.change_id)):
        content = json.loads(row.content)
        # Sightings are compared with those of the log, which are signed.
        parts = {
            person_id: [one - 2**64 if one >= 2**63 else one for one in sightings]
            for person_id, sightings in content["parts"]
        }
        history.add(row.position, content["before"], parts)
    return history
