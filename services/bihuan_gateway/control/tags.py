"""Private tags of advertisers, kept here for good, and the platform's, as profile tells them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field, StrictInt, StringConstraints

from bihuan_gateway.control.access import Principal, require_tenant, require_writer, visible_tenant
from bihuan_gateway.control.fields import Spec
from bihuan_gateway.control.ports import ControlStore
from bihuan_gateway.control.resources import Receipt
from bihuan_gateway.control.specs import Kind
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from bihuan_shared.targeting import TagType, is_private_name, namespace_of

MAX_TAGS = 256
"""Private tags of one advertiser."""
MAX_DELETED_NAMES = 4_096
"""Names of one advertiser of which it is known how often tags of them were deleted."""
MAX_TEXT_BYTES = 128
MAX_DESCRIPTION_BYTES = 512
MAX_DAYS = 3650
MAX_LANGUAGES = 8


def _distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) < len(items):
        raise ValueError("names one twice")
    return items


def _bounded(limit: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if len(text.encode()) > limit:
            raise ValueError(f"longer than {limit} bytes")
        return text

    return check


TagName = Annotated[str, StringConstraints(pattern=r"^(?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]{0,47}$", max_length=128)]
TagValue = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_bounded(MAX_TEXT_BYTES))]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}$")]
Shown = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Purpose = Literal["targeting", "personalisation", "measurement", "insight"]


class TagSpec(Spec):
    """
    A tag of an advertiser's own: `name` begins with its namespace and a dot, which are put before where they lack.

    A value that was not renewed for `retention_days` is gone, after `half_life_days` it counts half; 0 means never.
    """

    name: TagName
    type: Literal["text", "number", "flag"]
    data_class: Literal["registration", "operation", "transaction"]
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1, max_length=4), AfterValidator(_distinct)]
    values: Annotated[tuple[TagValue, ...], Field(max_length=256), AfterValidator(_distinct)] = ()
    description: Annotated[str, StringConstraints(max_length=512), AfterValidator(_bounded(MAX_DESCRIPTION_BYTES))] = ""
    display_names: Annotated[dict[Language, Shown], Field(max_length=MAX_LANGUAGES)] = Field(default_factory=dict)
    retention_days: Annotated[StrictInt, Field(ge=0, le=MAX_DAYS)] = 0
    half_life_days: Annotated[float, Field(ge=0, le=MAX_DAYS)] = 0
    iab_audience_id: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None


@dataclass(frozen=True, slots=True)
class TagSet:
    """All private tags of an advertiser, by name; `version` grows with every change."""

    advertiser_id: str
    version: int
    tags: tuple[TagSpec, ...]
    lives: Mapping[str, int] = field(default_factory=dict)
    """How often tags of each name were deleted: profile tells no value of an earlier life."""


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """What a call made: the names in its order, and how many of them were new or changed then."""

    tags: tuple[TagSpec, ...]
    changed_count: int


@dataclass(frozen=True, slots=True)
class PlatformTag:
    """A tag of the platform, in the words of the API."""

    name: str
    type: str
    data_class: str
    purposes: tuple[str, ...]
    values: tuple[str, ...]
    description: str
    display_names: Mapping[str, str]
    retention_days: int
    half_life_days: float
    iab_audience_id: int | None
    derived: bool


@dataclass(frozen=True, slots=True)
class PlatformTags:
    """The platform's taxonomy."""

    version: str
    tags: tuple[PlatformTag, ...]


class TagStore(Protocol):
    """Keeps private tags."""

    async def put(
        self, advertiser_id: str, tags: Sequence[TagSpec], receipt: Receipt | None, now_us: int
    ) -> PutOutcome:
        """
        Store tags, all or none, and the receipt; the same receipt again answers what it made.

        FailedPrecondition where a type or a class would change or there would be too many, AlreadyExists for a key that
        was used otherwise.
        """
        ...

    async def delete(self, advertiser_id: str, name: str) -> bool:
        """
        Delete a tag; False where there is none.

        FailedPrecondition where tags of too many names were deleted before.
        """
        ...

    async def of(self, advertiser_id: str) -> TagSet:
        """Return all tags of an advertiser."""
        ...


class PlatformTaxonomy(Protocol):
    """Profile, as it serves the platform's tags."""

    async def platform(self) -> PlatformTags:
        """Return the platform's taxonomy, at most half a minute old where profile answers."""
        ...


@dataclass(frozen=True, slots=True)
class TagDesk:
    """Declares and shows tags. `after_write` hands committed ones to profile, as far as it answers soon."""

    store: TagStore
    resources: ControlStore
    taxonomy: PlatformTaxonomy
    clock: Clock
    after_write: Callable[[], Awaitable[None]]

    async def put(
        self, principal: Principal, advertiser_id: str, tags: Sequence[TagSpec], *, key: str | None = None
    ) -> PutOutcome:
        """
        Declare private tags, all or none; `key` is the caller's idempotency key. Others stay as they are.

        PermissionDenied for keys that only read, NotFound for another tenant, InvalidArgument for another's namespace,
        FailedPrecondition for a changed type or class and for too many, AlreadyExists for a key used otherwise.
        """
        require_writer(principal)
        require_tenant(principal, advertiser_id, "advertiser")
        if await self.resources.find(Kind.ADVERTISERS, advertiser_id) is None:
            raise NotFound("no such advertiser", FieldViolation("/advertiser_id", "does not exist"))
        named = _named(advertiser_id, tags)
        receipt = None
        if key is not None:
            body = [advertiser_id, [tag.model_dump(mode="json") for tag in named]]
            receipt = Receipt(principal.key_id, key, Receipt.fingerprint_of("put tags", body))
        outcome = await self.store.put(advertiser_id, named, receipt, self.clock.now_us())
        await self.after_write()
        return outcome

    async def delete(self, principal: Principal, advertiser_id: str, name: str) -> None:
        """
        Delete a private tag: its values are told no more, and a tag that is declared under its name later has none.

        PermissionDenied for keys that only read, NotFound for another tenant and where there is no such tag,
        FailedPrecondition where tags of 4,096 names were deleted before.
        """
        require_writer(principal)
        require_tenant(principal, advertiser_id, "advertiser")
        namespace = namespace_of(advertiser_id)
        whole = name if "." in name else f"{namespace}.{name}"
        if not is_private_name(whole, namespace) or not await self.store.delete(advertiser_id, whole):
            raise NotFound("no such tag of this advertiser")
        await self.after_write()

    async def list(self, principal: Principal, advertiser_id: str | None) -> tuple[PlatformTags, TagSet | None]:
        """Return the platform's tags and those of the caller's tenant, or of one advertiser for who sees all."""
        tenant = visible_tenant(principal, advertiser_id)
        if advertiser_id is not None and await self.resources.find(Kind.ADVERTISERS, advertiser_id) is None:
            raise NotFound("no such advertiser")
        platform = await self.taxonomy.platform()
        return platform, await self.store.of(tenant) if tenant is not None else None


def conflicts(known: Mapping[str, TagSpec], tags: Sequence[TagSpec]) -> list[FieldViolation]:
    """Tell what stands against taking tags in beside those that are known: type and class stay for ever."""
    found = []
    for index, tag in enumerate(tags):
        old = known.get(tag.name, tag)
        if old.type != tag.type:
            found.append(FieldViolation(f"/tags/{index}/type", f"cannot be changed; it is {old.type}"))
        if old.data_class != tag.data_class:
            found.append(FieldViolation(f"/tags/{index}/data_class", f"cannot be changed; it is {old.data_class}"))
    if len(known.keys() | {tag.name for tag in tags}) > MAX_TAGS:
        found.append(FieldViolation("/tags", f"an advertiser has at most {MAX_TAGS} tags"))
    return found


def require_no_conflicts(known: Mapping[str, TagSpec], tags: Sequence[TagSpec]) -> None:
    """Raise FailedPrecondition naming every conflict."""
    found = conflicts(known, tags)
    if found:
        raise FailedPrecondition(f"{found[0].field}: {found[0].description}", *found)


def targeting_types(tags: TagSet) -> dict[str, TagType]:
    """Give the types of the tags that targeting may use, by name."""
    return {tag.name: TagType(tag.type) for tag in tags.tags if "targeting" in tag.purposes}


def _named(advertiser_id: str, tags: Sequence[TagSpec]) -> list[TagSpec]:
    """Put the namespace before names that have none, and refuse others' namespaces and what no tag can be."""
    namespace = namespace_of(advertiser_id)
    named: list[TagSpec] = []
    violations = []
    names: set[str] = set()
    for index, tag in enumerate(tags):
        name = tag.name if "." in tag.name else f"{namespace}.{tag.name}"
        if not is_private_name(name, namespace):
            violations.append(FieldViolation(f"/tags/{index}/name", f"must begin with {namespace}."))
        if name in names:
            violations.append(FieldViolation(f"/tags/{index}/name", "stands twice"))
        if tag.values and tag.type != "text":
            violations.append(FieldViolation(f"/tags/{index}/values", "only a text has values"))
        names.add(name)
        named.append(tag.model_copy(update={"name": name}))
    if violations:
        raise InvalidArgument(f"{violations[0].field}: {violations[0].description}", *violations)
    return named
