"""What can be said of audiences without waiting: who is in which, and how far each is."""

from collections.abc import Collection
from dataclasses import replace

from bihuan_scoring.domain.audiences import Audience, AudienceState, MemberSet
from bihuan_scoring.use_cases.refreshing import Refreshes


class MemberLookup:
    """Members in memory, and how far the building is."""

    def __init__(self) -> None:
        self.held: dict[str, MemberSet] = {}
        self.progress: dict[str, float] = {}
        """How far the building of each audience is, in [0, 1)."""
        self.refreshes = Refreshes()

    def memberships(self, person_id: int) -> list[str]:
        """Ids of the ready audiences that a person is in, sorted."""
        return sorted(audience_id for audience_id, members in self.held.items() if person_id in members)

    def contains(self, audience_id: str, person_id: int) -> bool:
        """True where the person is in the audience, and the audience is ready."""
        members = self.held.get(audience_id)
        return members is not None and person_id in members

    def members(self, audience_id: str) -> MemberSet | None:
        """The members of an audience that is ready, to be read only."""
        return self.held.get(audience_id)

    def place(self, audience_id: str, person_ids: Collection[int], fitting: MemberSet | frozenset[int]) -> None:
        """Of these persons, those who fit are in and the others are not, in memory; `changing` must be held."""
        members = self.held.get(audience_id)
        if members is None:
            return
        others = [person_id for person_id in person_ids if (person_id in fitting) != (person_id in members)]
        if others:
            # Whoever reads the set in a thread keeps the old one.
            members = members.copy()
            for person_id in others:
                (members.add if person_id in fitting else members.discard)(person_id)
            self.held[audience_id] = members

    def _with_progress(self, audience: Audience) -> Audience:
        # What is stored as ready is not so before its members can be looked up.
        stored_only = audience.state is AudienceState.READY and audience.audience_id not in self.held
        if not stored_only and not self._waits(audience):
            return audience
        progress = self.progress.get(audience.audience_id, 0.0)
        return replace(audience, state=AudienceState.BUILDING, progress=progress)

    def _waits(self, audience: Audience) -> bool:
        return audience.state is AudienceState.BUILDING or audience.audience_id in self.refreshes
