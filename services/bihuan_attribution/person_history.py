"""
Who was who at a position of billing, for the independent fold.

A click and an order meet when the later of the two is billed, so what joins them is who was who then. This reads the
changes that were followed, not what billing made of them.
"""

import json
from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa

from bihuan_attribution import schema

_ERASED = 0
_Told = tuple[int, int]


class PersonHistory:
    """Every change of who is who, with the last position that was billed before it."""

    def __init__(self) -> None:
        self._sightings: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._aliases: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._circles: dict[int, int] = {}
        self.changed: set[int] = set()
        """Every person that was in a change."""

    def add(self, position: int, before: list[int], parts: Mapping[int, list[int]]) -> None:
        """Add the next change."""
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
        roots = {self.circle(one) for one in (*before, *parts)}
        for root in roots:
            self._circles[root] = min(roots)

    def circle(self, person_id: int) -> int:
        """One of all persons that were ever in one change with this one, or with one of those."""
        while (above := self._circles.get(person_id, person_id)) != person_id:
            person_id = above
        return person_id

    def same(self, one: _Told, other: _Told, position: int) -> bool:
        """Whether what was told of two persons was of one when `position` was billed."""
        first = self._at(one, position)
        return first != _ERASED and first == self._at(other, position)

    def erased(self, told: _Told, position: int) -> bool:
        """Whether what was told of a person was of nobody any more when `position` was billed."""
        return self._at(told, position) == _ERASED

    def _at(self, told: _Told, position: int) -> int:
        person_id, sighting = told
        if sighting:
            person_id = _latest(self._sightings.get(sighting, []), position, person_id)
        while (survivor_id := _latest(self._aliases.get(person_id, []), position, person_id)) != person_id:
            person_id = survivor_id
        return person_id


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
