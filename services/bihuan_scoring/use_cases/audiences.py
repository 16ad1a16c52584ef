"""Audiences: creating, reading, looking up, deleting, and taking persons out."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

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
from bihuan_scoring.domain.versions import VersionCause, require_interval
from bihuan_scoring.use_cases.ports import AudienceStore, MemberSets, Profiles
from bihuan_scoring.use_cases.reading import AudienceReading
from bihuan_shared.clock import Clock, SystemClock
from bihuan_shared.errors import FailedPrecondition, InvalidArgument
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.targeting import audiences_of, canonical, check, parse

_SYSTEM_CLOCK: Final = SystemClock()


class Audiences(AudienceReading):
    """
    The audiences of this process, their members in memory and on disk.

    Changes run one at a time; lookups never wait. `waiting` and `look_alikes_waiting` are set whenever an
    audience waits to be built.
    """

    def __init__(
        self, store: AudienceStore, sets: MemberSets, profiles: Profiles, clock: Clock = _SYSTEM_CLOCK
    ) -> None:
        super().__init__(store)
        self._clock = clock
        self._sets = sets
        self._profiles = profiles
        self._erased: set[int] = set()
        self._absorbed: dict[int, int] = {}
        self.changing = asyncio.Lock()
        self.waiting = asyncio.Event()
        self.look_alikes_waiting = asyncio.Event()

    async def load(self) -> None:
        """
        Take up what is stored, and finish what was interrupted.

        Members that are missing or damaged are built again where an expression defines them; a list that is lost
        makes its audience FAILED, never silently smaller.
        """
        self._erased = set(await self.store.erased())
        self._absorbed = dict(await self.store.absorbed())
        changed: list[Audience] = []
        for audience in await self.store.all():
            if audience.state is AudienceState.READY:
                try:
                    members = await asyncio.to_thread(self._sets.load, audience.members_name)
                    self.held[audience.audience_id] = members
                except FailedPrecondition as error:
                    lost = replace(audience, state=AudienceState.BUILDING)
                    changed.append(lost if audience.made_by_rule else lost.failed(error.detail))
        await self.store.update(changed)
        await self._tidy()
        self._wake()

    async def create_from_members(self, new: NewAudience, person_ids: Sequence[int]) -> Audience:
        """
        An audience of these persons, ready at once; erased persons are left out.

        Raises InvalidArgument for an id that is none, AlreadyExists where the id has another definition.
        """
        require_interval(new.refresh_interval_s, scheduled=False)
        require_persons(person_ids, "definition.members.person_ids[{}]")
        members = await asyncio.to_thread(self._sets.build, person_ids)
        digest = definition_sha256(new.advertiser_id, "members", members.serialize())
        async with self.changing:
            existing = await self.same(new.audience_id, digest)
            if existing is not None:
                return existing
            self.settle(members)
            audience = self._changed(new.building("", digest), members, VersionCause.BUILT)
            await asyncio.to_thread(self._sets.save, audience.members_name, members)
            stored = await self.store.insert(audience)
            self.held[new.audience_id] = members
            return stored

    async def create_from_expression(self, new: NewAudience, expression: str, asked: str = "") -> Audience:
        """
        An audience of everyone who fits, built in the background.

        `asked` is what it was made from where that was not the expression itself, and then what a repeat must match.

        Raises ExpressionInvalid with the column, FailedPrecondition where it names an audience that is not ready,
        AlreadyExists where the id has another definition, Unavailable where the taxonomy cannot be read.
        """
        require_interval(new.refresh_interval_s, scheduled=True)
        parsed = parse(expression)
        text = canonical(parsed)
        kind = "asked" if asked else "expression"
        digest = definition_sha256(new.advertiser_id, kind, (asked or text).encode())
        existing = await self.same(new.audience_id, digest)
        if existing is not None:
            return existing
        check(parsed, await self._profiles.taxonomy(new.advertiser_id))
        return await self.await_building(new.building(text, digest), audiences_of(parsed))

    async def await_building(self, audience: Audience, needed: frozenset[str]) -> Audience:
        """
        Store an audience that is to be built, where its id is free.

        Raises FailedPrecondition where an audience that it needs is not ready, AlreadyExists as creation does.
        """
        async with self.changing:
            existing = await self.same(audience.audience_id, audience.definition_sha256)
            if existing is not None:
                return existing
            missing = sorted(needed - self.held.keys())
            if missing:
                raise FailedPrecondition(f"the definition names an audience that is not ready: {missing[0]}")
            stored = await self.store.insert(audience)
            self._wake()
            return stored

    async def delete(self, audience_id: str) -> bool:
        """Delete an audience; True where there was one, FailedPrecondition where a combination is made of it."""
        async with self.changing:
            if combinations := await self.made_of([audience_id]):
                raise FailedPrecondition(f"audience {combinations[0]} is made of it")
            deleted = await self.store.delete(audience_id)
            self.held.pop(audience_id, None)
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
                members = self.held[audience_id].copy()
                members.discard(person_id)
                changed[self._changed(audience, members, VersionCause.PERSONS_CHANGED)] = members
            for audience, members in changed.items():
                await asyncio.to_thread(self._sets.save, audience.members_name, members)
            await self.store.erase(person_id, list(changed))
            self._erased.add(person_id)
            self.held |= {audience.audience_id: members for audience, members in changed.items()}
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
            audience = await self.owned(audience_id, advertiser_id)
            if audience.made_by_rule or audience_id not in self.held:
                raise FailedPrecondition(f"audience {audience_id} is no list that is ready")
            members = self.held[audience_id].copy()
            settle(changed_by(members, add, remove), self._absorbed, self._erased)
            if members.serialize() == self.held[audience_id].serialize():
                return audience
            changed = self._changed(audience, members, VersionCause.LIST_CHANGED)
            await asyncio.to_thread(self._sets.save, changed.members_name, members)
            await self.store.update([changed])
            self.held[audience_id] = members
            self.ask(await self.made_of([audience_id]))
            await self._tidy()
            return changed

    async def followed(self) -> int:
        """The last change of who is who that was followed."""
        return await self.store.followed()

    async def follow(self, change: PersonsChange) -> None:
        """
        Follow the next change: whoever was absorbed is in no audience any more, and the survivor is where those were.

        Where a person is split, its memberships stay with the part that keeps the id: nothing tells which part earned
        them, and a copy would put a stranger into an audience. The other parts come in when the audience is built anew.
        """
        async with self.changing:
            if change.change_id <= await self.store.followed():
                return
            changed: dict[Audience, MemberSet] = {}
            gone = (*change.absorbed_ids, *change.erased_ids)
            for audience_id in sorted({name for one in gone for name in self.memberships(one)}):
                audience = await self.get(audience_id)
                members = self.held[audience_id].copy()
                for person_id in gone:
                    members.discard(person_id)
                if change.survivor_id:
                    members.add(change.survivor_id)
                changed[self._changed(audience, members, VersionCause.PERSONS_CHANGED)] = members
            for audience, members in changed.items():
                await asyncio.to_thread(self._sets.save, audience.members_name, members)
            await self.store.follow(change, list(changed))
            # A survivor may be in an operand that it was not in as two.
            self.ask(await self.made_of([audience.audience_id for audience in changed]))
            self._erased |= set(change.erased_ids)
            for person_id in change.part_ids:
                self._absorbed.pop(person_id, None)
            self._absorbed |= dict.fromkeys(change.absorbed_ids, change.survivor_id)
            self.held |= {audience.audience_id: members for audience, members in changed.items()}
            await self._tidy()

    def _wake(self) -> None:
        self.waiting.set()
        self.look_alikes_waiting.set()

    def settle(self, members: MemberSet) -> None:
        """Put survivors in place of absorbed persons, and take every erased person out."""
        settle(members, self._absorbed, self._erased)

    async def refresh(self, audience_id: str, advertiser_id: str) -> Audience:
        """
        Ask for an audience to be built anew; its members serve on until that is done, and then change at once.

        Raises NotFound where the advertiser has no such audience, FailedPrecondition where it has no expression.
        """
        audience = await self.owned(audience_id, advertiser_id)
        if not audience.expression:
            raise FailedPrecondition(f"audience {audience_id} has no expression to be built from anew")
        self.ask([audience_id])
        return self._with_progress(audience)

    def ask(self, audience_ids: Iterable[str]) -> None:
        """Ask for audiences of expressions to be built anew, if there are any."""
        asked = list(audience_ids)
        self.refreshes.ask(asked)
        if asked:
            self.waiting.set()

    async def refresh_all(self) -> None:
        """Ask for every audience of an expression to be built anew."""
        self.ask([audience.audience_id for audience in await self.store.all() if audience.expression])

    async def publish(self, audience: Audience, members: MemberSet, evidence: str = "") -> None:
        """
        The building of an audience is done, with what speaks for it; `changing` must be held.

        Nothing happens where it was deleted, or deleted and defined anew, meanwhile.
        """
        current = await self.store.get(audience.audience_id)
        if current is None or current.definition_sha256 != audience.definition_sha256:
            return
        settle(members, self._absorbed, self._erased)
        cause = VersionCause.REFRESHED if current.revision else VersionCause.BUILT
        ready = self._changed(current, members, cause)
        await asyncio.to_thread(self._sets.save, ready.members_name, members)
        if evidence:
            await self.store.put_evidence(audience.audience_id, evidence)
        await self.store.update([ready])
        self.held[audience.audience_id] = members
        self.progress.pop(audience.audience_id, None)
        self.ask(await self.made_of([audience.audience_id]))

    async def give_up(self, audience: Audience, failure: str) -> None:
        """The building of an audience failed for good; where it was built before, its members stay."""
        async with self.changing:
            current = await self.store.get(audience.audience_id)
            if current is not None and current.definition_sha256 == audience.definition_sha256:
                await self.store.update([current.failed(failure)])
                # A combination may wait for it in vain.
                self.waiting.set()
        self.progress.pop(audience.audience_id, None)
        self.refreshes.forget(audience.audience_id)

    def build_set(self, person_ids: Sequence[int]) -> MemberSet:
        """A set of persons; blocks."""
        return self._sets.build(person_ids)

    def _changed(self, audience: Audience, members: MemberSet, cause: VersionCause) -> Audience:
        return audience.ready(len(members), cause, self._clock.now_us())

    async def _tidy(self) -> None:
        kept = frozenset(audience.members_name for audience in await self.store.all())
        await asyncio.to_thread(self._sets.keep_only, kept)
