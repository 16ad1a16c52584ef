"""Audiences: lists and expressions of an advertiser, resolved to persons and kept by scoring."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_gateway.control.access import Principal, require_tenant, require_writer
from bihuan_gateway.control.packages import OverlapsView
from bihuan_gateway.control.ports import Audiences, AudienceStatus, People, Reach
from bihuan_gateway.control.resources import Receipt, Resource, new_name
from bihuan_gateway.control.specs import AudienceSpec, Kind, Member
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_shared.errors import AlreadyExists, InvalidArgument
from bihuan_shared.targeting import InAudience

PAGE = 1_000
"""Members that are resolved in one call."""
_NAME_BYTES = 10


@dataclass(frozen=True, slots=True)
class AudienceDesk:
    """Creates and shows audiences; the catalogue holds who owns them, scoring holds who is in them."""

    catalogue: Catalogue
    people: People
    audiences: Audiences

    async def create(
        self,
        principal: Principal,
        spec: AudienceSpec,
        members: Sequence[Member],
        *,
        audience_id: str | None = None,
        key: str | None = None,
    ) -> tuple[Resource, AudienceStatus]:
        """
        Create an audience from members (each one person), or from the spec's expression, seed or package.

        Scoring has it before the catalogue names it, so that a crash in between leaves nothing that refers to nobody;
        with an idempotency key the repeat then meets the same id. Errors as in `Catalogue.create`.
        """
        require_writer(principal)
        require_tenant(principal, spec.advertiser_id, "advertiser")
        await self.catalogue.get(principal, Kind.ADVERTISERS, spec.advertiser_id)
        _require_one_form(spec, members)
        name = audience_id or new_name(Kind.AUDIENCES, self._name_bytes(principal, key))
        receipt = self._receipt(principal, spec, members, name, key)
        store = self.catalogue.store
        if receipt is not None and (made := await store.find_receipt(Kind.AUDIENCES, receipt)) is not None:
            return made, await self.audiences.status(made.id)
        if await store.find(Kind.AUDIENCES, name) is not None:
            raise AlreadyExists("the id of this audience is taken")
        await self._check(spec)
        persons = await self._resolve(members)
        status = await self.audiences.create(
            name,
            spec.advertiser_id,
            spec.display_name,
            expression=spec.expression,
            person_ids=persons,
            look_alike=spec.look_alike,
            package=spec.package,
            refresh_interval_s=spec.refresh_interval_s or 0,
        )
        now_us = self.catalogue.clock.now_us()
        resource = Resource(Kind.AUDIENCES, name, spec.advertiser_id, spec.advertiser_id, 1, now_us, now_us, spec)
        made = await store.create(resource, receipt)
        await self.catalogue.after_write(False)
        return made, status

    async def _check(self, spec: AudienceSpec) -> None:
        """Refuse an expression that does not parse, and whatever is not this advertiser's (InvalidArgument)."""
        if spec.expression:
            expression = await self.catalogue.parse(spec.expression, "/expression", spec.advertiser_id)
            await self.catalogue.check_audiences(expression, spec.advertiser_id, "/expression")
        if spec.look_alike is not None:
            seed = InAudience(spec.look_alike.seed_audience_id)
            await self.catalogue.check_audiences(seed, spec.advertiser_id, "/look_alike/seed_audience_id")
        if spec.combination is None:
            return
        for name in ("all_of", "any_of", "none_of"):
            for index, operand in enumerate(getattr(spec.combination, name)):
                pointer = f"/combination/{name}/{index}"
                await self.catalogue.check_audiences(InAudience(operand), spec.advertiser_id, pointer)

    async def reach(self, principal: Principal, advertiser_id: str, expression: str) -> Reach:
        """
        Estimate how many persons an expression reaches, before there is an audience of it.

        NotFound for another tenant, InvalidArgument with the column, FailedPrecondition where it names an audience that
        is not ready.
        """
        await self.catalogue.get(principal, Kind.ADVERTISERS, advertiser_id)
        parsed = await self.catalogue.parse(expression, "/expression", advertiser_id)
        await self.catalogue.check_audiences(parsed, advertiser_id, "/expression")
        return await self.audiences.reach(advertiser_id, expression)

    async def get(self, principal: Principal, audience_id: str) -> tuple[Resource, AudienceStatus]:
        """Show one audience and how far it is (NotFound)."""
        resource = await self.catalogue.get(principal, Kind.AUDIENCES, audience_id)
        return resource, await self.audiences.status(audience_id)

    async def refresh(self, principal: Principal, audience_id: str) -> tuple[Resource, AudienceStatus]:
        """Have an audience of an expression built anew (NotFound; FailedPrecondition for a list)."""
        require_writer(principal)
        resource = await self.catalogue.get(principal, Kind.AUDIENCES, audience_id)
        assert resource.advertiser_id is not None
        return resource, await self.audiences.refresh(audience_id, resource.advertiser_id)

    async def compare(self, principal: Principal, audience_ids: Sequence[str]) -> OverlapsView:
        """
        Tell how much audiences overlap, pair by pair.

        NotFound as in `get`, InvalidArgument where they are of several advertisers, FailedPrecondition where one has no
        members yet.
        """
        owner = ""
        for audience_id in audience_ids:
            resource = await self.catalogue.get(principal, Kind.AUDIENCES, audience_id)
            assert resource.advertiser_id is not None
            owner = owner or resource.advertiser_id
            if resource.advertiser_id != owner:
                raise InvalidArgument.of("/query/ids", "are of several advertisers")
        return await self.audiences.compare(owner, audience_ids)

    def _name_bytes(self, principal: Principal, key: str | None) -> bytes:
        if key is None:
            return self.catalogue.random_bytes(_NAME_BYTES)
        return hashlib.sha256(f"{principal.key_id}\0{key}".encode()).digest()[:_NAME_BYTES]

    def _receipt(
        self, principal: Principal, spec: AudienceSpec, members: Sequence[Member], name: str, key: str | None
    ) -> Receipt | None:
        if key is None:
            return None
        listed = [[member.namespace, member.value] for member in members]
        body = {"id": name, "spec": spec.model_dump(mode="json", exclude_none=True), "members": listed}
        return Receipt(principal.key_id, key, Receipt.fingerprint_of("create audiences", body))

    async def _resolve(self, members: Sequence[Member]) -> list[int]:
        persons: set[int] = set()
        for start in range(0, len(members), PAGE):
            persons.update(await self.people.resolve(members[start : start + PAGE], first_index=start))
        return sorted(persons)


def _require_one_form(spec: AudienceSpec, members: Sequence[Member]) -> None:
    forms = (spec.expression, members, spec.look_alike, spec.combination, spec.brand_behaviour)
    if [bool(one) for one in forms].count(True) != 1:
        raise InvalidArgument.of(
            "/members",
            "exactly one of members, expression, preset, look_alike, combination and brand_behaviour is needed",
        )
