"""Creating, showing, listing and changing resources: who may, what must fit together, and what follows from it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from bihuan_gateway.control.access import (
    Principal,
    Role,
    require_admin,
    require_tenant,
    require_writer,
    visible_tenant,
)
from bihuan_gateway.control.fields import Spec
from bihuan_gateway.control.ports import ControlStore, Page, Query, Taxonomy
from bihuan_gateway.control.resources import (
    FIXED_FIELDS,
    NAMES,
    PARENT_FIELDS,
    SPECS,
    TERMED,
    Receipt,
    Resource,
    new_name,
)
from bihuan_gateway.control.specs import AdGroupSpec, CampaignSpec, CreativeSpec, Kind, PlacementSpec
from bihuan_gateway.control.tags import TagStore, targeting_types
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound, PermissionDenied
from bihuan_shared.targeting import Expression, audiences_of

ADMIN_KINDS = frozenset({Kind.ADVERTISERS, Kind.PLACEMENTS, Kind.PUBLISHERS, Kind.PROMOTERS})
"""Kinds that belong to the platform: only admins write them."""
PATCHABLE = frozenset(
    {Kind.ADVERTISERS, Kind.CAMPAIGNS, Kind.AD_GROUPS, Kind.CREATIVES, Kind.PLACEMENTS, Kind.PUBLISHERS}
)
_MOVES_TERMS = TERMED | {Kind.PUBLISHERS}
_NAME_BYTES = 10
_REVIEWED = ("landing_url", "assets", "width", "height", "tags")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """
    The control plane's resources.

    `after_write` runs after each committed write and makes it effective here; for a write of terms (True) it also hands
    these to attribution. `random_bytes` names what callers leave unnamed.
    """

    store: ControlStore
    taxonomy: Taxonomy
    clock: Clock
    random_bytes: Callable[[int], bytes]
    after_write: Callable[[bool], Awaitable[None]]
    tags: TagStore
    auto_approve: bool = False

    async def create(
        self, principal: Principal, kind: Kind, spec: Spec, *, resource_id: str | None = None, key: str | None = None
    ) -> Resource:
        """
        Create a resource; `key` is the caller's idempotency key.

        PermissionDenied where the role does not allow it, NotFound for another tenant, InvalidArgument for what does
        not fit, AlreadyExists for a taken id or a key used otherwise.
        """
        _require_role(principal, kind)
        receipt = None
        if key is not None:
            body = {"id": resource_id, "spec": spec.model_dump(mode="json")}
            receipt = Receipt(principal.key_id, key, Receipt.fingerprint_of(f"create {kind}", body))
            if (made := await self.store.find_receipt(kind, receipt)) is not None:
                return made
        spec, advertiser_id = await self._placed(principal, kind, spec)
        resource = self.new(kind, spec, advertiser_id, resource_id)
        made = await self.store.create(resource, receipt)
        await self.after_write(kind in _MOVES_TERMS)
        return await self.store.find(kind, resource.id) or made if kind in TERMED and made is resource else made

    def new(self, kind: Kind, spec: Spec, advertiser_id: str, resource_id: str | None) -> Resource:
        """Return the first version of a resource that is not stored yet, named where it has no name."""
        now_us = self.clock.now_us()
        name = resource_id or new_name(kind, self.random_bytes(_NAME_BYTES))
        parent = PARENT_FIELDS.get(kind)
        return Resource(
            kind=kind,
            id=name,
            advertiser_id=name if kind is Kind.ADVERTISERS else advertiser_id,
            parent_id=getattr(spec, parent[0]) if parent else "",
            version=1,
            create_time_us=now_us,
            update_time_us=now_us,
            spec=spec,
        )

    async def get(self, principal: Principal, kind: Kind, resource_id: str) -> Resource:
        """Return one resource (NotFound, also for another tenant's)."""
        resource = await self.store.find(kind, resource_id)
        if resource is None:
            raise NotFound(f"no such {NAMES[kind]}")
        if resource.advertiser_id:
            require_tenant(principal, resource.advertiser_id, NAMES[kind])
        return resource

    async def list(
        self,
        principal: Principal,
        kind: Kind,
        *,
        size: int,
        after: str,
        advertiser_id: str | None,
        parent_id: str | None,
    ) -> Page:
        """Return one page of what the caller may see, by id."""
        owned = kind is Kind.ADVERTISERS or kind in PARENT_FIELDS
        tenant = visible_tenant(principal, advertiser_id) if owned else None
        return await self.store.list_page(kind, Query(size, after, tenant, parent_id))

    async def patch(
        self,
        principal: Principal,
        kind: Kind,
        resource_id: str,
        changes: Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Resource:
        """
        Change a resource by a JSON merge patch (RFC 7396).

        Where `version` is given and is not the newest, FailedPrecondition. A patch that changes nothing makes no
        version. Errors as in `create`.
        """
        _require_role(principal, kind)
        old = await self.get(principal, kind, resource_id)
        if version is not None and version != old.version:
            raise FailedPrecondition(
                f"the newest version is {old.version}", FieldViolation("/version", "not the newest")
            )
        spec = _patched(kind, old.spec, changes)
        parent = PARENT_FIELDS.get(kind)
        for field in (*FIXED_FIELDS.get(kind, ()), *(parent[:1] if parent else ())):
            if getattr(spec, field) != getattr(old.spec, field):
                raise InvalidArgument.of(f"/{field}", "cannot be changed")
        spec, _ = await self._placed(principal, kind, spec, old)
        if spec == old.spec:
            return old
        new = old.changed(spec, self.clock.now_us())
        await self.store.update(new)
        await self.after_write(kind in _MOVES_TERMS)
        return await self.store.find(kind, resource_id) or new if kind in TERMED else new

    async def _placed(
        self, principal: Principal, kind: Kind, spec: Spec, old: Resource | None = None
    ) -> tuple[Spec, str]:
        """Check a spec against what it refers to; return it as it is stored, and its tenant."""
        parent_field = PARENT_FIELDS.get(kind)
        if parent_field is None:
            if isinstance(spec, PlacementSpec) and spec.publisher_id is not None:
                await self._require_all(Kind.PUBLISHERS, (spec.publisher_id,), "/publisher_id", indexed=False)
            return spec, ""
        field, parent_kind = parent_field
        parent = await self.store.find(parent_kind, getattr(spec, field))
        if parent is None or principal.tenant not in {None, parent.advertiser_id}:
            raise NotFound(f"no such {NAMES[parent_kind]}", FieldViolation(f"/{field}", "does not exist"))
        if isinstance(spec, CampaignSpec) and old is not None:
            _check_model_stays(spec, old)
        if isinstance(spec, AdGroupSpec):
            await self.check_group(spec, parent)
        if isinstance(spec, CreativeSpec):
            spec = self._reviewed(principal, spec, old)
        return spec, parent.advertiser_id

    async def check_group(self, spec: AdGroupSpec, campaign: Resource, place: str = "") -> None:
        """Refuse an ad group that does not fit its campaign, stored or not (InvalidArgument, at `place` and below)."""
        terms = campaign.spec
        assert isinstance(terms, CampaignSpec)
        if spec.bid_micros and terms.pricing.model not in {"cpm", "cpc"}:
            raise InvalidArgument.of(f"{place}/bid_micros", f"a {terms.pricing.model} campaign has no bid")
        if spec.bid_micros > terms.pricing.bid_micros:
            raise InvalidArgument.of(f"{place}/bid_micros", "above the campaign's bid")
        refs = spec.audience_ids
        await self._require_all(Kind.AUDIENCES, refs.include, f"{place}/audience_ids/include", campaign.advertiser_id)
        await self._require_all(Kind.AUDIENCES, refs.exclude, f"{place}/audience_ids/exclude", campaign.advertiser_id)
        await self._require_all(Kind.PLACEMENTS, spec.placement_ids, f"{place}/placement_ids")
        if spec.targeting:
            expression = await self.parse(spec.targeting, f"{place}/targeting", campaign.advertiser_id)
            await self.check_audiences(expression, campaign.advertiser_id, f"{place}/targeting")

    async def parse(self, text: str, pointer: str, advertiser_id: str) -> Expression:
        """Parse an expression, which may name the platform's tags and the advertiser's own (InvalidArgument)."""
        return await self.taxonomy.parse(text, pointer, targeting_types(await self.tags.of(advertiser_id)))

    async def check_audiences(self, expression: Expression, advertiser_id: str, pointer: str) -> None:
        """Refuse an expression that speaks of an audience which is not this advertiser's (InvalidArgument)."""
        named = tuple(sorted(audiences_of(expression)))
        await self._require_all(Kind.AUDIENCES, named, pointer, advertiser_id, indexed=False)

    async def _require_all(
        self, kind: Kind, ids: tuple[str, ...], pointer: str, advertiser_id: str | None = None, *, indexed: bool = True
    ) -> None:
        found = {
            resource.id
            for resource in await self.store.find_many(kind, ids)
            if advertiser_id is None or resource.advertiser_id == advertiser_id
        }
        for index, resource_id in enumerate(ids):
            if resource_id not in found:
                raise InvalidArgument.of(f"{pointer}/{index}" if indexed else pointer, f"no such {NAMES[kind]}")

    def _reviewed(self, principal: Principal, spec: CreativeSpec, old: Resource | None) -> CreativeSpec:
        """Only admins review; a creative that its owner changes is reviewed again."""
        before = old.spec if old is not None else None
        asked = spec.review != (before.review if isinstance(before, CreativeSpec) else "pending")
        if principal.role is Role.ADMIN:
            new = before is None and not asked and self.auto_approve
            return spec.model_copy(update={"review": "approved"}) if new else spec
        if asked:
            raise PermissionDenied("only an admin key may review", FieldViolation("/review", "is written by admins"))
        changed = before is not None and any(getattr(before, name) != getattr(spec, name) for name in _REVIEWED)
        return spec.model_copy(update={"review": "pending"}) if changed else spec


def _check_model_stays(spec: CampaignSpec, old: Resource) -> None:
    """Refuse to turn booked days into anything else, or the other way round: bookings rest on them."""
    assert isinstance(old.spec, CampaignSpec)
    if (spec.pricing.model == "cpd") != (old.spec.pricing.model == "cpd"):
        raise InvalidArgument.of("/pricing/model", "cannot be changed from or to cpd")


def _require_role(principal: Principal, kind: Kind) -> None:
    require_writer(principal)
    if kind in ADMIN_KINDS:
        require_admin(principal)


def merge(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _patched(kind: Kind, spec: Spec, changes: Mapping[str, object]) -> Spec:
    unknown = sorted(set(changes) - set(SPECS[kind].model_fields))
    if unknown:
        pointer = "/" + unknown[0].replace("~", "~0").replace("/", "~1")
        raise InvalidArgument.of(pointer, "there is no such field, or it cannot be set")
    try:
        return SPECS[kind].model_validate(merge(spec.model_dump(mode="json"), changes))
    except ValidationError as error:
        violations = [
            FieldViolation("".join(f"/{step}".replace("~", "~0") for step in item["loc"]), item["msg"])
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidArgument("the changed resource is not valid", *violations) from None
