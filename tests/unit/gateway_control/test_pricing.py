"""What is paid and who shares in it, through the HTTP API: credit lines, shares, commission rates and their terms."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from bihuan_gateway.app import build
from bihuan_gateway.control.snapshot import ServingSnapshot
from bihuan_gateway.control.tables import METADATA, OUTBOX, SCHEMA
from bihuan_gateway.settings import Settings
from bihuan_shared.sql import Database
from tests.unit.gateway_control.outsiders import ADMIN, CPS, Api, Outsiders, campaign


def serving(app: FastAPI) -> ServingSnapshot:
    snapshot = app.state.snapshots.current()
    assert isinstance(snapshot, ServingSnapshot)
    return snapshot


def shares(outsiders: Outsiders) -> list[tuple[str, str, int]]:
    return [(one.placement_id, one.publisher_id, one.revenue_share_ppm) for one in outsiders.attribution.placements]


async def test_an_advertiser_is_prepaid_only_until_an_admin_gives_credit(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    assert (await admin.get("/v1/advertisers/acme"))["credit_limit_micros"] == 0
    answer = await admin.call("PATCH", "/v1/advertisers/acme", {"credit_limit_micros": 7_000_000})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    terms = [(one.advertiser_id, one.version, one.spec.credit_limit_micros) for one in outsiders.attribution.accounts]
    assert terms == [("acme", 1, 0), ("acme", 2, 7_000_000)]
    stale = await admin.call("PATCH", "/v1/advertisers/acme", {"credit_limit_micros": 1, "version": 1})
    assert stale.status_code == 409


@pytest.mark.parametrize("changes", [{"currency": "EUR"}, {"time_zone": "Asia/Shanghai"}, {"time_zone": None}])
async def test_currency_and_time_zone_of_an_account_hold_for_ever(
    admin: Api, outsiders: Outsiders, changes: dict[str, object]
) -> None:
    body = {"id": "a", "display_name": "A", "currency": "USD", "time_zone": "Europe/Berlin"}
    await admin.make("/v1/advertisers", body)
    answer = await admin.call("PATCH", "/v1/advertisers/a", changes)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(changes))}"
    assert len(outsiders.attribution.accounts) == 1


async def test_a_placement_takes_its_publishers_share_or_its_own(admin: Api, outsiders: Outsiders) -> None:
    await admin.make("/v1/publishers", {"id": "pub", "display_name": "P", "revenue_share_ppm": 600_000})
    await admin.make("/v1/placements", {"id": "a", "publisher_id": "pub"})
    await admin.make("/v1/placements", {"id": "b", "publisher_id": "pub", "revenue_share_ppm": 0})
    await admin.make("/v1/placements", {"id": "c", "traffic_source": "video"})
    assert shares(outsiders) == [("a", "pub", 600_000), ("b", "pub", 0), ("c", "", 0)]
    assert outsiders.attribution.placements[-1].traffic_source == "video"
    await admin.call("PATCH", "/v1/publishers/pub", {"revenue_share_ppm": 700_000})
    assert shares(outsiders)[3:] == [("a", "pub", 700_000)]
    await admin.call("PATCH", "/v1/placements/b", {"revenue_share_ppm": None})
    assert shares(outsiders)[4:] == [("b", "pub", 700_000)]
    versions = [one.version for one in outsiders.attribution.placements]
    assert versions == sorted(set(versions))


async def test_a_share_needs_somebody_who_gets_it(admin: Api) -> None:
    assert (await admin.call("POST", "/v1/placements", {"revenue_share_ppm": 5})).status_code == 400
    await admin.make("/v1/publishers", {"id": "pub", "display_name": "P"})
    await admin.make("/v1/placements", {"id": "a", "publisher_id": "pub", "revenue_share_ppm": 5})
    assert (await admin.call("PATCH", "/v1/placements/a", {"publisher_id": None})).status_code == 400


async def test_a_placement_serves_once_attribution_knows_who_shares_in_it(
    app: FastAPI, admin: Api, outsiders: Outsiders
) -> None:
    await admin.make("/v1/publishers", {"id": "pub", "display_name": "P", "revenue_share_ppm": 5})
    outsiders.attribution.away = True
    await admin.make("/v1/placements", {"id": "theirs", "publisher_id": "pub"})
    await admin.make("/v1/placements", {"id": "ours"})
    assert set(serving(app).placements) == {"ours"}
    outsiders.attribution.away = False
    await admin.call("PATCH", "/v1/placements/ours", {"floor_micros": 1})
    assert set(serving(app).placements) == {"ours", "theirs"}
    outsiders.attribution.away = True
    await admin.call("PATCH", "/v1/placements/theirs", {"floor_micros": 1})
    assert set(serving(app).placements) == {"ours", "theirs"}


async def test_commission_rates_and_promoted_goods_reach_attribution(
    app: FastAPI, admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    rates = [{"item_id": "sku-1", "rate_ppm": 0}, {"category": "茶", "rate_ppm": 90_000}]
    pricing = {**CPS, "commission_rates": rates}
    made = await admin.make(
        "/v1/campaigns", campaign(id="c9", pricing=pricing, promoted_items=["sku-1", "sku-2"], shop_id="shop")
    )
    assert made["promoted_items"] == ["sku-1", "sku-2"]
    terms = outsiders.attribution.terms[-1]
    assert [(one.item_id, one.category, one.rate_ppm) for one in terms.pricing.commission_rates] == [
        ("sku-1", None, 0),
        (None, "茶", 90_000),
    ]
    assert (terms.promoted_items, terms.shop_id) == (("sku-1", "sku-2"), "shop")
    # The auction expects the campaign's own rate.
    assert serving(app).campaigns["c9"].commission_rate_ppm == 50_000
    await admin.call("PATCH", "/v1/campaigns/c9", {"pricing": {"commission_rates": []}, "shop_id": None})
    assert (outsiders.attribution.terms[-1].pricing.commission_rates, outsiders.attribution.terms[-1].shop_id) == (
        (),
        "",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"pricing": {**CPS, "commission_rates": [{"rate_ppm": 5}]}},
        {"pricing": {**CPS, "commission_rates": [{"item_id": "a", "category": "b", "rate_ppm": 5}]}},
        {"pricing": {**CPS, "commission_rates": [{"item_id": "a", "rate_ppm": 1_000_001}]}},
        {"pricing": {**CPS, "commission_rates": [{"item_id": "a", "rate_ppm": 5}, {"item_id": "a", "rate_ppm": 6}]}},
        {"pricing": {**CPS, "commission_rates": [{"item_id": f"{n}", "rate_ppm": 5} for n in range(1001)]}},
        {"pricing": {"model": "cpm", "bid_micros": 5, "commission_rates": [{"item_id": "a", "rate_ppm": 5}]}},
        {"promoted_items": ["茶" * 43]},
        {"promoted_items": ["a"] * 1001},
        {"shop_id": ""},
    ],
)
async def test_rates_and_goods_that_cannot_be_are_refused(
    admin: Api, tree: dict[str, object], changes: dict[str, object]
) -> None:
    answer = await admin.call("POST", "/v1/campaigns", campaign("acme", **changes))
    assert answer.status_code == 400
    pointer = answer.json()["errors"][0]["pointer"]
    assert pointer.startswith(("/pricing", "/promoted_items", "/shop_id"))


async def forget_what_waits(settings: Settings) -> None:
    """Bring about the state of a database from before accounts had terms."""
    database = await Database.open(settings.database_url, METADATA, schema=SCHEMA)
    await database.write(lambda connection: connection.execute(OUTBOX.delete()))
    await database.close()


async def test_terms_that_attribution_never_took_are_pushed_after_a_start(
    settings: Settings, outsiders: Outsiders
) -> None:
    outsiders.attribution.away = True
    for attempt in range(2):
        app = build(settings, outside=outsiders.outside(), data=None)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
        ):
            if attempt == 0:
                admin = Api(client, ADMIN)
                await admin.make("/v1/advertisers", {"id": "acme", "display_name": "A", "currency": "USD"})
                await admin.make("/v1/campaigns", campaign(id="c1"))
            else:
                async with asyncio.timeout(10):
                    await outsiders.attribution.took.wait()
        outsiders.attribution.away = False
        await forget_what_waits(settings)
    assert [one.advertiser_id for one in outsiders.attribution.accounts] == ["acme"]
    assert [one.campaign_id for one in outsiders.attribution.terms] == ["c1"]
