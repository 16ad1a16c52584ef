"""From resources to the serving snapshot: what serves, kept up to date as resources change."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bihuan_gateway.control.ports import ChangeFeed
from bihuan_gateway.control.resources import Resource, end_time_us, start_time_us
from bihuan_gateway.control.snapshot import AdGroup, Advertiser, Campaign, Creative, Placement, ServingSnapshot
from bihuan_gateway.control.specs import (
    AdGroupSpec,
    AdvertiserSpec,
    CampaignSpec,
    CreativeSpec,
    Kind,
    PlacementSpec,
    PublisherSpec,
)
from bihuan_gateway.control.terms import share_of
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import BihuanError, InvalidArgument
from bihuan_shared.targeting import Expression, namespace_in, parse, references

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class ServingState:
    """Everything the control plane holds, by kind and id, with expressions parsed once."""

    version: int = 0
    resources: dict[Kind, dict[str, Resource]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    expressions: dict[str, Expression] = field(default_factory=dict)

    def apply(self, version: int, changed: list[Resource]) -> None:
        """Take changes over."""
        self.version = version
        for resource in changed:
            self.resources[resource.kind][resource.id] = resource
            if isinstance(resource.spec, AdGroupSpec):
                self.expressions.pop(resource.id, None)
                if resource.spec.targeting:
                    self._parse(resource.id, resource.spec.targeting)

    def _parse(self, group_id: str, text: str) -> None:
        try:
            self.expressions[group_id] = parse(text)
        except InvalidArgument:
            # It was checked when it was written, so the language has changed; the group serves nobody, not everybody.
            _log.warning("a targeting expression does not parse any more", ad_group_id=group_id)

    def snapshot(self) -> ServingSnapshot:
        """Derive what serves; what hangs on something that does not serve is left out."""
        capped = {
            item.advertiser_id
            for item in self.resources[Kind.CAMPAIGNS].values()
            if isinstance(item.spec, CampaignSpec)
            for cap in item.spec.frequency_caps
            if cap.level == "advertiser"
        }
        advertisers = {
            item.id: Advertiser(item.id, item.spec.currency, item.spec.time_zone, item.id in capped)
            for item in self.resources[Kind.ADVERTISERS].values()
            if isinstance(item.spec, AdvertiserSpec)
        }
        campaigns = {
            item.id: campaign
            for item in self.resources[Kind.CAMPAIGNS].values()
            if (advertiser := advertisers.get(item.advertiser_id)) and (campaign := _campaign(item, advertiser))
        }
        groups = {
            item.id: group
            for item in self.resources[Kind.AD_GROUPS].values()
            if (campaign := campaigns.get(item.parent_id))
            and (group := _ad_group(item, campaign, self.expressions.get(item.id)))
        }
        creatives = [
            creative
            for item in self.resources[Kind.CREATIVES].values()
            if (group := groups.get(item.parent_id)) and (creative := _creative(item, group))
        ]
        placements = [
            place
            for item in self.resources[Kind.PLACEMENTS].values()
            if not self._share_unknown(item) and (place := _placement(item)) is not None
        ]
        return ServingSnapshot.of(
            self.version,
            campaigns=campaigns.values(),
            ad_groups=groups.values(),
            creatives=creatives,
            placements=placements,
        )

    def _share_unknown(self, item: Resource) -> bool:
        """Tell whether a publisher shares in a placement that attribution never heard of: its share would be lost."""
        spec = item.spec
        if item.terms_acked_version or not isinstance(spec, PlacementSpec) or spec.publisher_id is None:
            return False
        publisher = self.resources[Kind.PUBLISHERS].get(spec.publisher_id)
        owner = publisher.spec if publisher is not None else None
        return share_of(spec, owner if isinstance(owner, PublisherSpec) else None) > 0


def _campaign(item: Resource, advertiser: Advertiser) -> Campaign | None:
    spec = item.spec
    if not isinstance(spec, CampaignSpec) or spec.status != "active" or not item.terms_acked:
        return None
    return Campaign(
        id=item.id,
        advertiser=advertiser,
        pricing_model=spec.pricing.model,
        bid_micros=spec.pricing.bid_micros,
        commission_rate_ppm=spec.pricing.commission_rate_ppm,
        expected_order_micros=spec.pricing.expected_order_micros,
        cpm_trigger=spec.pricing.cpm_trigger,
        terms_version=item.version,
        start_time_us=start_time_us(spec),
        end_time_us=end_time_us(spec),
        pacing=spec.pacing.mode,
        token_ttl_us=spec.token_ttl_days * DAY_US,
        capped=bool(spec.frequency_caps),
    )


def _ad_group(item: Resource, campaign: Campaign, expression: Expression | None) -> AdGroup | None:
    spec = item.spec
    if not isinstance(spec, AdGroupSpec) or spec.status != "active" or (spec.targeting and expression is None):
        return None
    return AdGroup(
        id=item.id,
        campaign=campaign,
        expression=expression,
        include_audiences=frozenset(spec.audience_ids.include),
        exclude_audiences=frozenset(spec.audience_ids.exclude),
        keywords=frozenset(spec.keywords),
        placement_ids=frozenset(spec.placement_ids),
        # A campaign's bid may have been lowered after the group's was set.
        bid_micros=min(spec.bid_micros or campaign.bid_micros, campaign.bid_micros),
        # Most texts have no dot at all, and a snapshot is made often.
        names_private=expression is not None and "." in spec.targeting and _names_private(expression),
    )


def _names_private(expression: Expression) -> bool:
    return any(namespace_in(name) for name in references(expression).attributes)


def _creative(item: Resource, group: AdGroup) -> Creative | None:
    spec = item.spec
    if not isinstance(spec, CreativeSpec) or spec.status != "active" or spec.review != "approved":
        return None
    return Creative(
        id=item.id,
        ad_group=group,
        landing_url=spec.landing_url,
        tags=spec.tags,
        width=spec.width,
        height=spec.height,
        assets=json.dumps(spec.assets, separators=(",", ":")),
    )


def _placement(item: Resource) -> Placement | None:
    spec = item.spec
    if not isinstance(spec, PlacementSpec) or spec.status != "active":
        return None
    return Placement(
        id=item.id,
        publisher_id=spec.publisher_id or "",
        channel=spec.channel,
        traffic_source=spec.traffic_source,
        width=spec.width,
        height=spec.height,
        floor_micros=spec.floor_micros,
        currency=spec.currency,
    )


class LiveSnapshots:
    """
    A snapshot source that follows the change feed.

    `refresh` brings in what was committed before it was called; `run` does so regularly, for what other processes
    wrote. A feed that does not answer leaves the newest snapshot in place.
    """

    def __init__(self, feed: ChangeFeed, *, poll_s: float, on_change: Callable[[int], None] = lambda _: None) -> None:
        self._feed = feed
        self._poll_s = poll_s
        self._on_change = on_change
        self._state = ServingState()
        self._snapshot = ServingSnapshot(version=0)
        self._lock = asyncio.Lock()

    def current(self) -> ServingSnapshot:
        """Return the newest snapshot."""
        return self._snapshot

    async def refresh(self) -> None:
        """Bring in everything that is committed (Unavailable)."""
        async with self._lock:
            version, changed = await self._feed.changes(self._state.version)
            if version > self._state.version:
                self._state.apply(version, changed)
                self._snapshot = self._state.snapshot()
                self._on_change(version)

    async def run(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except BihuanError as error:
                _log.warning("serving snapshot is not fresh", reason=error.reason)
