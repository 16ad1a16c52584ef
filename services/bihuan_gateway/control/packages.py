"""Audiences of other audiences and of brand behaviour as callers ask for them; versions and overlaps as told."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from bihuan_gateway.control.fields import ResourceId, Spec, Tag

MAX_OPERANDS = 20
LEAST_COMPARED = 2
MAX_COMPARED = 50
Operands = Annotated[tuple[ResourceId, ...], Field(max_length=MAX_OPERANDS)]
Interval = Annotated[StrictInt, Field(ge=60, le=31_536_000)]
BehaviourKind = Literal["existing", "potential", "interacted", "fans_of_topic", "fans_of_rival"]


class CombinationSpec(Spec):
    """Who is in all of some audiences, in any of others and in none of a third kind; at most 20 audiences together."""

    all_of: Operands = ()
    any_of: Operands = ()
    none_of: Operands = ()


class BrandBehaviourSpec(Spec):
    """
    Persons by what they do with a brand; `within_days` is one of those that the kind has.

    Existing: ordered it (365). Potential: dealt with it, no order in 365 days (90, 400). Interacted: dealt with it (90,
    400). Fans of a topic: an interest that weighs what an order of so long ago does (1 to 90, 30 unasked). Fans of a
    rival: a strong or long relation to that (90), or loyal to it as well (365). Where fans come with a brand, those who
    ordered it within 365 days are left out.
    """

    kind: BehaviourKind
    brand: Tag | None = None
    within_days: Annotated[StrictInt, Field(ge=1, le=400)] | None = None
    topic: Tag | None = None
    rival: Tag | None = None


class Told(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class VersionView(Told):
    """
    Members as they were stored once, `size` as it may be told.

    `cause` is built, refreshed, list_changed, or persons_changed (some were erased, or turned out to be one).
    """

    version: int
    size: int
    below_floor: bool
    version_time: str | None
    cause: str


class Standing(Told):
    """How the members of an audience came to be; `history` is newest first, empty where it was not asked for."""

    expression: str = ""
    version: int = 0
    refresh_time: str | None = None
    history: tuple[VersionView, ...] = ()


NO_STANDING: Final = Standing()


class SizeView(Told):
    """About how many persons are in an audience; 0 where it is below the privacy floor."""

    id: str
    size: int
    below_floor: bool


class OverlapView(Told):
    """About how many persons two audiences share, and their Jaccard index; 0 where it is below the privacy floor."""

    id: str
    other_id: str
    intersection: int
    jaccard: float
    below_floor: bool


class OverlapsView(Told):
    """Audiences and pairs of them, in the order in which they were named."""

    audiences: tuple[SizeView, ...]
    overlaps: tuple[OverlapView, ...]
