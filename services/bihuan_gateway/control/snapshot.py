"""What a decision may choose from: everything that serves, in memory, frozen, with its indexes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

from bihuan_shared.targeting import Expression

PricingModel = Literal["cpm", "cpc", "cps", "cpd"]
CpmTrigger = Literal["impression", "viewable"]
Pacing = Literal["even", "asap"]


@dataclass(frozen=True, slots=True)
class Advertiser:
    """
    Who pays: ISO 4217 currency of the account, IANA time zone of its budget days.

    `capped` where a cap at advertiser level stands in any of its campaigns, even in one that does not serve.
    """

    id: str
    currency: str
    time_zone: str
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """
    A campaign that is active and whose newest terms attribution has acknowledged.

    `bid_micros` is per thousand impressions (cpm) or per click (cpc), 0 for cps. `commission_rate_ppm` and
    `expected_order_micros` are of cps, 0 otherwise. It serves in `[start_time_us, end_time_us)`; an `end_time_us` of 0
    means for ever. `token_ttl_us` is the life of its tracking tokens.
    """

    id: str
    advertiser: Advertiser
    pricing_model: PricingModel
    bid_micros: int
    commission_rate_ppm: int
    expected_order_micros: int
    cpm_trigger: CpmTrigger
    terms_version: int
    start_time_us: int
    end_time_us: int
    pacing: Pacing
    token_ttl_us: int
    capped: bool

    def serves_at(self, now_us: int) -> bool:
        """Tell whether `now_us` is inside the schedule."""
        return self.start_time_us <= now_us and (self.end_time_us == 0 or now_us < self.end_time_us)


@dataclass(frozen=True, slots=True)
class AdGroup:
    """
    Whom and where a campaign addresses.

    A person qualifies who meets `expression` (None: everyone), is in one of `include_audiences` (empty: no demand) and
    in none of `exclude_audiences`. A request qualifies that carries one of `keywords` and is for one of `placement_ids`
    (empty: no demand). `bid_micros` already has the campaign's bid where the group sets none. Where it `names_private`
    tags, the expression speaks of those of the campaign's advertiser.
    """

    id: str
    campaign: Campaign
    expression: Expression | None
    include_audiences: frozenset[str]
    exclude_audiences: frozenset[str]
    keywords: frozenset[str]
    placement_ids: frozenset[str]
    bid_micros: int
    names_private: bool = False


@dataclass(frozen=True, slots=True)
class Creative:
    """An approved, active creative; a width and height of 0 fit every placement. `assets` is a JSON document."""

    id: str
    ad_group: AdGroup
    landing_url: str
    tags: tuple[str, ...]
    width: int
    height: int
    assets: str

    def fits(self, placement: "Placement") -> bool:
        """Tell whether it has the placement's size, or one of the two is free of size."""
        free = 0 in (self.width, self.height) or 0 in (placement.width, placement.height)
        return free or (self.width, self.height) == (placement.width, placement.height)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an advertisement stands; the floor is micros of `currency` per thousand impressions."""

    id: str
    publisher_id: str
    channel: str
    traffic_source: str
    width: int
    height: int
    floor_micros: int
    currency: str


_T = TypeVar("_T")


def _index(pairs: Iterable[tuple[str, _T]]) -> Mapping[str, tuple[_T, ...]]:
    grouped: dict[str, list[_T]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return MappingProxyType({key: tuple(values) for key, values in grouped.items()})


@dataclass(frozen=True, slots=True)
class ServingSnapshot:
    """
    Everything that may serve at one version of the control plane.

    Made by `of`; all orders are by id, so that two processes rank ties alike.
    """

    version: int
    campaigns: Mapping[str, Campaign] = field(default_factory=lambda: MappingProxyType({}))
    ad_groups: Mapping[str, AdGroup] = field(default_factory=lambda: MappingProxyType({}))
    creatives: Mapping[str, Creative] = field(default_factory=lambda: MappingProxyType({}))
    placements: Mapping[str, Placement] = field(default_factory=lambda: MappingProxyType({}))
    creatives_by_ad_group: Mapping[str, tuple[Creative, ...]] = field(default_factory=lambda: MappingProxyType({}))
    by_keyword: Mapping[str, tuple[AdGroup, ...]] = field(default_factory=lambda: MappingProxyType({}))
    by_placement: Mapping[str, tuple[AdGroup, ...]] = field(default_factory=lambda: MappingProxyType({}))
    anywhere: tuple[AdGroup, ...] = ()

    @classmethod
    def of(
        cls,
        version: int,
        *,
        campaigns: Iterable[Campaign],
        ad_groups: Iterable[AdGroup],
        creatives: Iterable[Creative],
        placements: Iterable[Placement],
    ) -> "ServingSnapshot":
        """Index what serves. Ad groups without a creative stay out of the indexes: they can win nothing."""
        groups = sorted(ad_groups, key=lambda group: group.id)
        ordered = sorted(creatives, key=lambda creative: creative.id)
        by_group = _index((creative.ad_group.id, creative) for creative in ordered)
        useful = [group for group in groups if group.id in by_group]
        return cls(
            version=version,
            campaigns=MappingProxyType({campaign.id: campaign for campaign in campaigns}),
            ad_groups=MappingProxyType({group.id: group for group in groups}),
            creatives=MappingProxyType({creative.id: creative for creative in ordered}),
            placements=MappingProxyType({placement.id: placement for placement in placements}),
            creatives_by_ad_group=by_group,
            by_keyword=_index((keyword, group) for group in useful for keyword in sorted(group.keywords)),
            by_placement=_index(
                (place, group) for group in useful if not group.keywords for place in sorted(group.placement_ids)
            ),
            anywhere=tuple(group for group in useful if not group.keywords and not group.placement_ids),
        )

    def ad_groups_for(self, placement_id: str, keywords: Sequence[str]) -> list[AdGroup]:
        """List the ad groups that a request for one placement with these keywords may choose from, by id."""
        found = {group.id: group for group in self.anywhere}
        found.update((group.id, group) for group in self.by_placement.get(placement_id, ()))
        for keyword in keywords:
            for group in self.by_keyword.get(keyword, ()):
                if not group.placement_ids or placement_id in group.placement_ids:
                    found[group.id] = group
        return [found[group_id] for group_id in sorted(found)]


class SnapshotSource(Protocol):
    """Gives the newest snapshot; never waits."""

    def current(self) -> ServingSnapshot:
        """Return the newest snapshot."""
        ...
