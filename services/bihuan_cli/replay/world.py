"""The advertisers, placements and campaigns that the replays run under, made through the control plane."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.journey import Campaign
from bihuan_cli.replay import identifiers
from bihuan_cli.replay.bounded import bounded
from bihuan_shared.clock import format_rfc3339

DAY_US = 86_400_000_000
CURRENCY = "USD"
MAIL = "journey-mail"
ITEMS = range(80)
POSITIONS = (1, 2, 3)
BANDIT_MODELS = ("cpm", "cpc")
BANDIT_SITE = "bandit-site"
BANDIT_SHARE_PPM = 600_000
"""Declared here, since the data set has no publisher."""
LINES_AT_ONCE = 8


class Created(msgspec.Struct):
    """What a create answers, as far as it is needed here."""

    id: str


@dataclass(frozen=True, slots=True)
class World:
    """Creates resources, at one instant of a replay clock or (None) now; a repeat changes nothing."""

    client: GatewayClient
    time_us: int | None

    async def create(self, collection: str, body: dict[str, object]) -> None:
        """Create a resource under the id that the body names."""
        key = f"{collection}:{body['id']}"
        await self.client.post(f"/v1/{collection}", body, Created, time_us=self.time_us, key=key)

    async def advertiser(self, name: str, title: str, deposit_micros: int) -> None:
        """Create an advertiser with money on its account."""
        await self.create(
            "advertisers",
            {"id": name, "display_name": title, "currency": CURRENCY, "time_zone": "America/New_York"},
        )
        await self.client.post(
            f"/v1/advertisers/{name}/deposits",
            {"currency": CURRENCY, "amount_micros": deposit_micros},
            msgspec.Raw,
            time_us=self.time_us,
            key=f"deposit:{name}",
        )

    async def placement(self, name: str, channel: str, source: str, floor_micros: int, publisher_id: str = "") -> None:
        """Create a placement with a floor per thousand impressions, on our own pages or on a publisher's."""
        owner: dict[str, object] = {"publisher_id": publisher_id} if publisher_id else {}
        await self.create(
            "placements",
            {
                "id": name,
                "display_name": name,
                "channel": channel,
                "traffic_source": source,
                "floor_micros": floor_micros,
                "currency": CURRENCY,
                **owner,
            },
        )

    async def line(self, campaign: dict[str, object], ad_group: dict[str, object], creative: dict[str, object]) -> None:
        """Create a campaign with one ad group and one approved creative, all of the campaign's id."""
        name = campaign["id"]
        await self.create("campaigns", campaign | {"display_name": name, "pacing": {"mode": "asap"}})
        await self.create("ad-groups", ad_group | {"id": name, "campaign_id": name, "display_name": name})
        await self.create(
            "creatives",
            creative | {"id": name, "ad_group_id": name, "display_name": name, "review": "approved"},
        )


def journey_name(campaign_id: int) -> str:
    """The id of a Complete Journey campaign here."""
    return f"journey-{campaign_id}"


def journey_pricing(campaign_id: int) -> dict[str, object]:
    """The product that a campaign is sold as: declared here, since the data set has none. All three are in use."""
    by_model: tuple[dict[str, object], ...] = (
        {"model": "cpm", "bid_micros": 60_000_000},
        {"model": "cpc", "bid_micros": 600_000},
        {
            "model": "cps",
            "commission_rate_ppm": 50_000,
            "promoter_share_ppm": 300_000,
            "expected_order_micros": 40_000_000,
        },
    )
    return by_model[campaign_id % 3]


def journey_advertiser(campaign: Campaign) -> str:
    """One advertiser a campaign type, so that campaigns compete across advertisers."""
    return f"journey-{campaign.kind.rsplit(' ', 1)[-1].lower()}"


async def create_journey(world: World, campaigns: Sequence[Campaign], serves: Callable[[Campaign], bool]) -> None:
    """
    Create every real campaign, its audience being its real send list.

    A campaign that does not serve in the replay is created paused.
    """
    for kind in ("a", "b", "c"):
        await world.advertiser(f"journey-{kind}", f"Complete Journey type {kind.upper()}", 100_000_000_000)
    await world.placement(MAIL, "email", "e-commerce", 100_000)
    await bounded(LINES_AT_ONCE, [_journey_line(world, campaign, serves=serves(campaign)) for campaign in campaigns])


async def _journey_line(world: World, campaign: Campaign, *, serves: bool) -> None:
    name = journey_name(campaign.campaign_id)
    await _audience(world, campaign)
    tags = [f"{space}:{kind}" for kind in campaign.product_types for space in ("category", "coupon")]
    await world.line(
        {
            "id": name,
            "advertiser_id": journey_advertiser(campaign),
            "pricing": journey_pricing(campaign.campaign_id),
            "budget": {"daily_micros": 5_000_000_000, "total_micros": 20_000_000_000},
            "schedule": {
                "start_time": format_rfc3339(campaign.start_time_us),
                "end_time": format_rfc3339(campaign.end_time_us + DAY_US),
            },
            "frequency_caps": [{"level": "campaign", "window": "lifetime", "max_impressions": 1}],
            "status": "active" if serves else "paused",
            "token_ttl_days": 180,
        },
        {"audience_ids": {"include": [name]}, "placement_ids": [MAIL]},
        {"landing_url": f"https://shop.example/{name}", "tags": tags},
    )


async def _audience(world: World, campaign: Campaign) -> None:
    name = journey_name(campaign.campaign_id)
    members = [identifiers.login(household) for household in campaign.household_ids]
    await world.create(
        "audiences",
        {
            "id": name,
            "advertiser_id": journey_advertiser(campaign),
            "display_name": f"sends of {name}",
            "members": members,
        },
    )


async def create_bandit(world: World) -> None:
    """
    Create a CPM and a CPC advertiser with one campaign an item, selected by keyword, on placements of their own.

    The placements are a publisher's, which shares in what is charged there.
    """
    bids = {"cpm": 2_000_000, "cpc": 1_000_000}
    await world.create(
        "publishers", {"id": BANDIT_SITE, "display_name": "Open Bandit site", "revenue_share_ppm": BANDIT_SHARE_PPM}
    )
    for model in BANDIT_MODELS:
        await world.advertiser(f"bandit-{model}", f"Open Bandit {model.upper()}", 100_000_000_000)
        places = [bandit_placement(model, position) for position in POSITIONS]
        for place in places:
            await world.placement(place, "feed", "e-commerce", 500_000, BANDIT_SITE)
        await bounded(LINES_AT_ONCE, [_bandit_line(world, model, item, bids[model], places) for item in ITEMS])


async def _bandit_line(world: World, model: str, item: int, bid_micros: int, places: Sequence[str]) -> None:
    name = f"bandit-{model}-{item}"
    await world.line(
        {
            "id": name,
            "advertiser_id": f"bandit-{model}",
            "pricing": {"model": model, "bid_micros": bid_micros},
            "budget": {"daily_micros": 1_000_000_000, "total_micros": 5_000_000_000},
        },
        {"keywords": [item_keyword(item)], "placement_ids": places},
        {"landing_url": f"https://shop.example/{name}", "tags": [f"item:{item}"]},
    )


def bandit_placement(model: str, position: int) -> str:
    """The placement of a slot, one set a pricing model."""
    return f"bandit-{model}-{position}"


def item_keyword(item_id: int) -> str:
    """The keyword that selects the item's campaign."""
    return f"item-{item_id}"
