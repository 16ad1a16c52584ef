"""Audiences: creating, reading, looking up, deleting, and taking persons out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from bihuan_scoring.domain.audiences import (
    MAX_PERSON_ID,
    Audience,
    AudienceState,
    MemberSet,
    NewAudience,
    changed_by,
    definition_sha256,
    require_persons,
    settle,
)
from bihuan_scoring.use_cases.ports import AudienceStore, MemberSets, Profiles
from bihuan_scoring.use_cases.refreshing import Refreshes
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.targeting import audiences_of, canonical, check, parse


class Audiences:
    """
    The audiences of this process, their members in memory and on disk.

    Changes run one at a time; lookups never wait. `waiting` is set whenever an audience waits to be built.
    """

    def __init__(self, store: AudienceStore, sets: MemberSets, profiles: Profiles) -> None:
        self._store = store
        self._sets = sets
        self._profiles = profiles
        self._members: dict[str, MemberSet] = {}
        self._erased: set[int] = set()
        self._absorbed: dict[int, int] = {}
        self.changing = asyncio.Lock()
        self.waiting = asyncio.Event()
        self.progress: dict[str, float] = {}
        """How far the building of each audience is, in [0, 1)."""
        self.refreshes = Refreshes()

    async def load(self) -> None:
        """
        Take up what is stored, and finish what was interrupted.

        Members that are missing or damaged are built again where an expression defines them; a list that is lost
        makes its audience FAILED, never silently smaller.
        """
        self._erased = set(await self._store.erased())
        self._absorbed = dict(await self._store.absorbed())
        changed: list[Audience] = []
        for audience in await self._store.all():
            if audience.state is AudienceState.READY:
                try:
                    members = await asyncio.to_thread(self._sets.load, audience.members_name)
                    self._members[audience.audience_id] = members
                except FailedPrecondition as error:
                    lost = replace(audience, state=AudienceState.BUILDING)
                    changed.append(lost if audience.expression else lost.failed(error.detail))
        await self._store.update(changed)
        kept = frozenset(audience.members_name for audience in await self._store.all())
        await asyncio.to_thread(self._sets.keep_only, kept)
        self.waiting.set()

    async def create_from_members(self, new: NewAudience, person_ids: Sequence[int]) -> Audience:
        """
        An audience of these persons, ready at once; erased persons are left out.

        Raises InvalidArgument for an id that is none, AlreadyExists where the id has another definition.
        """
        require_persons(person_ids, "definition.members.person_ids[{}]")
        members = await asyncio.to_thread(self._sets.build, person_ids)
        digest = definition_sha256(new.advertiser_id, "members", members.serialize())
        async with self.changing:
            existing = await self._same(new.audience_id, digest)
            if existing is not None:
                return existing
            self._settle(members)
            audience = new.building("", digest).ready(len(members))
            await asyncio.to_thread(self._sets.save, audience.members_name, members)
            stored = await self._store.insert(audience)
            self._members[new.audience_id] = members
            return stored

    async def create_from_expression(self, new: NewAudience, expression: str) -> Audience:
        """
        An audience of everyone who fits, built in the background.

        Raises ExpressionInvalid with the column, FailedPrecondition where it names an audience that is not ready,
        AlreadyExists where the id has another definition, Unavailable where the taxonomy cannot be read.
        """
        parsed = parse(expression)
        text = canonical(parsed)
        digest = definition_sha256(new.advertiser_id, "expression", text.encode())
        existing = await self._same(new.audience_id, digest)
        if existing is not None:
            return existing
        check(parsed, await self._profiles.taxonomy(new.advertiser_id))
        async with self.changing:
            existing = await self._same(new.audience_id, digest)
            if existing is not None:
                return existing
            missing = sorted(audiences_of(parsed) - self._members.keys())
            if missing:
                raise FailedPrecondition(f"the expression names an audience that is not ready: {missing[0]}")
            stored = await self._store.insert(new.building(text, digest))
            self.waiting.set()
            return stored

    async def get(self, audience_id: str) -> Audience:
        """One audience; NotFound where there is none."""
        audience = await self._store.get(audience_id)
        if audience is None:
            raise NotFound(f"no audience {audience_id}")
        return self._with_progress(audience)

    async def page(self, advertiser_id: str, after_id: str, limit: int) -> tuple[Sequence[Audience], str]:
        """Audiences by id after `after_id`, and the id to go on from (empty: there are no more)."""
        found = await self._store.page(advertiser_id, after_id, limit + 1)
        shown = [self._with_progress(audience) for audience in found[:limit]]
        return shown, shown[-1].audience_id if len(found) > limit else ""

    async def delete(self, audience_id: str) -> bool:
        """Delete an audience; True where there was one."""
        async with self.changing:
            deleted = await self._store.delete(audience_id)
            self._members.pop(audience_id, None)
            self.progress.pop(audience_id, None)
            self.refreshes.forget(audience_id)
            await self._tidy()
            return deleted

    async def delete_person(self, person_id: int) -> int:
        """Take a person out of every audience, and keep it out; the number of audiences it was in."""
        if person_id > MAX_PERSON_ID:
            raise InvalidArgument.of("person.person_id", "is not a person id")
        async with self.changing:
            changed: dict[Audience, MemberSet] = {}
            for audience_id in self.memberships(person_id):
                audience = await self.get(audience_id)
                members = self._members[audience_id].copy()
                members.discard(person_id)
                changed[audience.ready(len(members))] = members
            for audience, members in changed.items():
                await asyncio.to_thread(self._sets.save, audience.members_name, members)
            await self._store.erase(person_id, list(changed))
            self._erased.add(person_id)
            self._members |= {audience.audience_id: members for audience, members in changed.items()}
            await self._tidy()
            return len(changed)

    async def update_members(
        self, audience_id: str, advertiser_id: str, add: Sequence[int], remove: Sequence[int]
    ) -> Audience:
        """
        Take persons into a list and out of it; erased persons stay out, survivors come in for absorbed ones.

        Raises NotFound where the advertiser has no such audience, InvalidArgument for an id that is none, and
        FailedPrecondition where the audience is no list or not ready.
        """
        require_persons(add, "add_persons[{}].person_id")
        require_persons(remove, "remove_persons[{}].person_id")
        async with self.changing:
            audience = await self.get(audience_id)
            if audience.advertiser_id != advertiser_id:
                raise NotFound(f"no audience {audience_id}")
            if audience.expression or audience_id not in self._members:
                raise FailedPrecondition(f"audience {audience_id} is no list that is ready")
            members = self._members[audience_id].copy()
            self._settle(changed_by(members, add, remove))
            if members.serialize() == self._members[audience_id].serialize():
                return audience
            changed = audience.ready(len(members))
            await asyncio.to_thread(self._sets.save, changed.members_name, members)
            await self._store.update([changed])
            self._members[audience_id] = members
            await self._tidy()
            return changed

    def memberships(self, person_id: int) -> list[str]:
        """Ids of the ready audiences that a person is in, sorted."""
        return sorted(audience_id for audience_id, members in self._members.items() if person_id in members)

    def contains(self, audience_id: str, person_id: int) -> bool:
        """True where the person is in the audience, and the audience is ready."""
        members = self._members.get(audience_id)
        return members is not None and person_id in members

    async def followed(self) -> int:
        """The last change of who is who that was followed."""
        return await self._store.followed()

    async def follow(self, change: PersonsChange) -> None:
        """
        Follow the next change: whoever was absorbed is in no audience any more, and the survivor is where those were.

        Where a person is split, its memberships stay with the part that keeps the id: nothing tells which part earned
        them, and a copy would put a stranger into an audience. The other parts come in when the audience is built anew.
        """
        async with self.changing:
            if change.change_id <= await self._store.followed():
                return
            changed: dict[Audience, MemberSet] = {}
            gone = (*change.absorbed_ids, *change.erased_ids)
            for audience_id in sorted({name for one in gone for name in self.memberships(one)}):
                audience = await self.get(audience_id)
                members = self._members[audience_id].copy()
                for person_id in gone:
                    members.discard(person_id)
                if change.survivor_id:
                    members.add(change.survivor_id)
                changed[audience.ready(len(members))] = members
            for audience, members in changed.items():
                await asyncio.to_thread(self._sets.save, audience.members_name, members)
            await self._store.follow(change, list(changed))
            self._erased |= set(change.erased_ids)
            for person_id in change.part_ids:
                self._absorbed.pop(person_id, None)
            self._absorbed |= dict.fromkeys(change.absorbed_ids, change.survivor_id)
            self._members |= {audience.audience_id: members for audience, members in changed.items()}
            await self._tidy()

    def _settle(self, members: MemberSet) -> None:
        settle(members, self._absorbed, self._erased)

    async def refresh(self, audience_id: str, advertiser_id: str) -> Audience:
        """
        Ask for an audience to be built anew; its members serve on until that is done, and then change at once.

        Raises NotFound where the advertiser has no such audience, FailedPrecondition where it is a list.
        """
        audience = await self.get(audience_id)
        if audience.advertiser_id != advertiser_id:
            raise NotFound(f"no audience {audience_id}")
        if not audience.expression:
            raise FailedPrecondition(f"audience {audience_id} is a list, which has no expression to be built from")
        self.refreshes.ask([audience_id])
        self.waiting.set()
        return self._with_progress(audience)

    async def refresh_all(self) -> None:
        """Ask for every audience of an expression to be built anew."""
        self.refreshes.ask([audience.audience_id for audience in await self._store.all() if audience.expression])
        self.waiting.set()

    async def publish(self, audience: Audience, members: MemberSet) -> None:
        """
        The building of an audience is done; `changing` must be held.

        Nothing happens where it was deleted, or deleted and defined anew, meanwhile.
        """
        current = await self._store.get(audience.audience_id)
        if current is None or current.definition_sha256 != audience.definition_sha256:
            return
        self._settle(members)
        ready = current.ready(len(members))
        await asyncio.to_thread(self._sets.save, ready.members_name, members)
        await self._store.update([ready])
        self._members[audience.audience_id] = members
        self.progress.pop(audience.audience_id, None)

    async def give_up(self, audience: Audience, failure: str) -> None:
        """The building of an audience failed for good; where it was built before, its members stay."""
        async with self.changing:
            current = await self._store.get(audience.audience_id)
            if current is not None and current.definition_sha256 == audience.definition_sha256:
                await self._store.update([current.failed(failure)])
        self.progress.pop(audience.audience_id, None)
        self.refreshes.forget(audience.audience_id)

    async def to_build(self) -> Sequence[Audience]:
        """Audiences that wait to be built, for the first time or anew."""
        return [one for one in await self._store.all() if self._waits(one)]

    def build_set(self, person_ids: Sequence[int]) -> MemberSet:
        """A set of persons; blocks."""
        return self._sets.build(person_ids)

    async def _same(self, audience_id: str, digest: str) -> Audience | None:
        existing = await self._store.get(audience_id)
        if existing is not None and existing.definition_sha256 != digest:
            raise AlreadyExists(f"audience {audience_id} exists with another definition")
        return None if existing is None else self._with_progress(existing)

    def _with_progress(self, audience: Audience) -> Audience:
        if not self._waits(audience):
            return audience
        progress = self.progress.get(audience.audience_id, 0.0)
        return replace(audience, state=AudienceState.BUILDING, progress=progress)

    def _waits(self, audience: Audience) -> bool:
        return audience.state is AudienceState.BUILDING or audience.audience_id in self.refreshes

    async def _tidy(self) -> None:
        kept = frozenset(audience.members_name for audience in await self._store.all())
        await asyncio.to_thread(self._sets.keep_only, kept)
