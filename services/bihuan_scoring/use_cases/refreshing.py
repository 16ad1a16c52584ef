"""Audiences that are asked to be built anew while their members serve on."""

from collections.abc import Iterable, Mapping


class Refreshes:
    """
    Who is asked for, in this process; what a crash forgets is asked for again by the next regular refresh.

    Each request has a number, so that one that comes while a building is under way is not taken as done with it.
    """

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}
        self._count = 0

    def __contains__(self, audience_id: str) -> bool:
        return audience_id in self._asked

    def ask(self, audience_ids: Iterable[str]) -> None:
        """Ask for audiences."""
        for audience_id in audience_ids:
            self._count += 1
            self._asked[audience_id] = self._count

    def asked(self) -> Mapping[str, int]:
        """What is asked for now, by audience."""
        return dict(self._asked)

    def done(self, audience_id: str, number: int | None) -> None:
        """A building that answers the request of this number is over; a later request stays."""
        if self._asked.get(audience_id) == number:
            self._asked.pop(audience_id, None)

    def forget(self, audience_id: str) -> None:
        """The audience is gone."""
        self._asked.pop(audience_id, None)
