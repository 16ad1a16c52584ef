"""Audiences as they are stored, with what is known of their building."""

from collections.abc import Collection, Mapping, Sequence

from bihuan_scoring.domain.audiences import Audience, MemberSet
from bihuan_scoring.domain.versions import AudienceVersion
from bihuan_scoring.use_cases.lookup import MemberLookup
from bihuan_scoring.use_cases.ports import AudienceStore
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, NotFound


class AudienceReading(MemberLookup):
    """What can be asked of audiences without changing any."""

    def __init__(self, store: AudienceStore) -> None:
        super().__init__()
        self.store = store

    async def get(self, audience_id: str) -> Audience:
        """One audience; NotFound where there is none."""
        audience = await self.store.get(audience_id)
        if audience is None:
            raise NotFound(f"no audience {audience_id}")
        return self._with_progress(audience)

    async def owned(self, audience_id: str, advertiser_id: str) -> Audience:
        """One audience of an advertiser; NotFound where the advertiser has none of that id."""
        audience = await self.get(audience_id)
        if audience.advertiser_id != advertiser_id:
            raise NotFound(f"no audience {audience_id}")
        return audience

    async def owned_sets(self, audience_ids: Sequence[str], advertiser_id: str) -> Mapping[str, MemberSet]:
        """
        The members of audiences of an advertiser, to be read only, in the order in which they are named.

        Raises NotFound where the advertiser has none of that id, FailedPrecondition where one has no members yet.
        """
        found: dict[str, MemberSet] = {}
        for audience_id in audience_ids:
            await self.owned(audience_id, advertiser_id)
            members = self.members(audience_id)
            if members is None:
                raise FailedPrecondition(f"audience {audience_id} is not ready")
            found[audience_id] = members
        return found

    async def made_of(self, audience_ids: Collection[str]) -> Sequence[str]:
        """The ids of the combinations of which any of these is an operand, sorted."""
        return [
            one.audience_id
            for one in await self.store.all()
            if one.combination is not None and not one.combination.operands.isdisjoint(audience_ids)
        ]

    async def history(self, audience_id: str) -> Sequence[AudienceVersion]:
        """The last versions of an audience, newest first, at most 20."""
        return await self.store.history(audience_id)

    async def evidence(self, audience_id: str) -> str:
        """What speaks for a look-alike that is built; else empty."""
        return await self.store.evidence(audience_id)

    async def page(self, advertiser_id: str, after_id: str, limit: int) -> tuple[Sequence[Audience], str]:
        """Audiences by id after `after_id`, and the id to go on from (empty: there are no more)."""
        found = await self.store.page(advertiser_id, after_id, limit + 1)
        shown = [self._with_progress(audience) for audience in found[:limit]]
        return shown, shown[-1].audience_id if len(found) > limit else ""

    async def to_build(self) -> Sequence[Audience]:
        """Audiences that wait to be built, for the first time or anew; look-alikes and combinations among them."""
        return [one for one in await self.store.all() if self._waits(one)]

    async def same(self, audience_id: str, digest: str) -> Audience | None:
        """The audience of that id and definition; AlreadyExists where the definition is another."""
        existing = await self.store.get(audience_id)
        if existing is not None and existing.definition_sha256 != digest:
            raise AlreadyExists(f"audience {audience_id} exists with another definition")
        return None if existing is None else self._with_progress(existing)
