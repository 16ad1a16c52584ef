"""From what is agreed with advertisers, publishers and promoters to what the ledger of the real attribution says."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from bihuan_attribution.app import build as build_attribution
from bihuan_attribution.settings import AttributionSettings
from bihuan_gateway.app import build as build_gateway
from bihuan_gateway.settings import Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import DAY_US, SystemClock, clock_from, format_rfc3339
from bihuan_shared.rpc.server import start_server
from bihuan_shared.tokens import KeyRing, TrackingToken

KEYS = "k1:" + "A" * 43
ADMIN = "admin-secret"
PATIENCE_S = 20.0
Json = dict[str, object]


@dataclass
class Market:
    """A gateway over a real attribution service, asked by an admin."""

    client: httpx.AsyncClient
    keys: KeyRing = field(default_factory=lambda: KeyRing.parse(KEYS))
    nonces: int = 0

    async def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.request(method, path, json=body, headers=named)
        assert answer.status_code < 300, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    async def create(self, collection: str, body: Json) -> Json:
        return await self.ask("POST", f"/v1/{collection}", {"display_name": "X", **body})

    async def line(self, name: str, pricing: Json, **campaign: object) -> None:
        """A campaign of `acme` with one ad group and one creative, all of one name."""
        made = await self.create("campaigns", {"id": name, "advertiser_id": "acme", "pricing": pricing, **campaign})
        assert made["terms_acked"] is True
        await self.create("ad-groups", {"id": name, "campaign_id": name})
        await self.create("creatives", {"id": name, "ad_group_id": name, "landing_url": "https://shop.example/?a=1"})

    async def click(self, token_id: str, placement_id: str) -> None:
        """An impression and a click of the CPC campaign `clicks`, at 2 units."""
        now_us = SystemClock().now_us()
        facts = TrackingToken(
            token_id, f"d-{token_id}", "clicks", placement_id, "clicks", "acme", "clicks", 1, "cpc", 2_000_000, "USD",
            0, now_us, now_us + DAY_US, 0, f"r-{token_id}",
        )  # fmt: skip
        self.nonces += 1
        text = self.keys.seal(facts, self.nonces.to_bytes(12, "big"))
        assert (await self.client.get(f"/t/i/{text}")).status_code == 200
        assert (await self.client.get(f"/t/c/{text}")).status_code == 302
        await self.settled()

    async def order(self, order_id: str, click_id: str, items: list[Json], status: str) -> None:
        at = format_rfc3339(SystemClock().now_us())
        body: Json = {"order_id": order_id, "advertiser_id": "acme", "order_time": at, "currency": "USD"}
        order = body | {"type": "order", "items": items, "click_id": click_id}
        await self.ask("POST", "/v1/orders", order)
        await self.ask("POST", "/v1/orders", body | {"type": "update", "status": status})
        await self.settled()

    async def settled(self) -> None:
        """Wait until the books hold everything that was recorded."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            found = await self.ask("GET", "/v1/ledger/reconciliation?positions_only=true")
            consumers, head = found["consumers"], found["head_position"]
            assert isinstance(consumers, dict)
            if consumers.get("billing") == head and head:
                break
            assert time.monotonic() < deadline_s, "billing has not caught up"
            await asyncio.sleep(0.02)

    async def reconcile(self) -> None:
        """The ledger and the fold over the lake agree to the nano."""
        found = await self.ask("GET", "/v1/ledger/reconciliation")
        currencies = found["currencies"]
        assert isinstance(currencies, list)
        assert [(one["currency"], one["difference_nanos"]) for one in currencies] == [("USD", 0)]

    async def micros(self, path: str) -> dict[str, int]:
        balances = (await self.ask("GET", path))["balances"]
        assert isinstance(balances, list)
        return {one["account"]: one["balance_micros"] for one in balances}


@pytest.fixture
async def market(redis_url: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        served = AttributionSettings(
            min_click_delay_ms=0,
            redis_url=redis_url,
            state_dir=tmp_path,
            token_keys=SecretStr(KEYS),
            callers=(Credential("gateway", Role.INTERNAL, secret_sha256("s")),),
        )
        server = await start_server(await build_attribution(served), served, clock_from("system"))
        stack.push_async_callback(server.stop, 0)
        settings = Settings(
            state_dir=tmp_path,
            admin_key_sha256=hashlib.sha256(ADMIN.encode()).hexdigest(),
            terms_wait_s=10,
            auto_approve=True,
            token_keys=SecretStr(KEYS),
            caller_secret=SecretStr("s"),
            public_url="https://ads.example",
            attribution_target=f"127.0.0.1:{server.port}",
        )
        app = build_gateway(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        # The name of an HTTP library is that of a robot, whose clicks cost nothing.
        headers = {"authorization": f"Bearer {ADMIN}", "user-agent": "Mozilla/5.0"}
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://ads.example", headers=headers)
        )
        made = Market(client)
        await made.create("advertisers", {"id": "acme", "currency": "USD"})
        yield made


async def test_a_visit_through_a_promoters_link_earns_the_promoter_a_share_at_the_items_rate(market: Market) -> None:
    rates = [{"item_id": "pot", "rate_ppm": 200_000}, {"category": "tea", "rate_ppm": 100_000}]
    pricing: Json = {
        "model": "cps",
        "commission_rate_ppm": 50_000,
        "commission_rates": rates,
        "promoter_share_ppm": 300_000,
        "expected_order_micros": 40_000_000,
    }
    await market.line("sales", pricing, promoted_items=["pot"], shop_id="shop")
    await market.create("promoters", {"id": "ann"})
    asked: Json = {"campaign_id": "sales", "creative_id": "sales", "sub_id": "微博"}
    link = await market.ask("POST", "/v1/promoters/ann/links", asked, idempotency_key="k")
    assert await market.ask("POST", "/v1/promoters/ann/links", asked, idempotency_key="k") == link
    visit = await market.client.get(urlsplit(str(link["url"])).path)
    assert visit.status_code == 302
    landing = urlsplit(visit.headers["location"])
    assert landing.netloc == "shop.example"
    (click_id,) = parse_qs(landing.query)["bh_click"]
    items: list[Json] = [
        {"item_id": "pot", "shop_id": "shop", "paid_micros": 10_000_000},
        {"item_id": "leaf", "tags": ["category:tea"], "paid_micros": 10_000_000},
        {"item_id": "mug", "paid_micros": 10_000_000},
    ]
    await market.order("o1", click_id, items, "paid")
    assert await market.micros("/v1/promoters/ann/balance") == {}
    await market.order("o2", click_id, items, "completed")
    commission = 2_000_000 + 1_000_000 + 500_000
    assert await market.micros("/v1/promoters/ann/balance") == {"promoter:payable:ann": commission * 3 // 10}
    # Owed whatever the credit line is.
    balance = await market.micros("/v1/advertisers/acme/balance")
    assert balance["advertiser:receivable:acme"] == commission
    await market.reconcile()


async def test_a_publisher_shares_in_clicks_at_the_share_that_held(market: Market) -> None:
    await market.ask(
        "POST", "/v1/advertisers/acme/deposits", {"currency": "USD", "amount_micros": 100_000_000}, idempotency_key="d"
    )
    await market.line("clicks", {"model": "cpc", "bid_micros": 2_000_000})
    await market.create("publishers", {"id": "pub", "revenue_share_ppm": 600_000})
    await market.create("placements", {"id": "theirs", "publisher_id": "pub"})
    await market.create("placements", {"id": "ours"})
    await market.click("t1", "theirs")
    assert await market.micros("/v1/publishers/pub/balance") == {"publisher:payable:pub": 1_200_000}
    await market.click("t2", "ours")
    assert await market.micros("/v1/publishers/pub/balance") == {"publisher:payable:pub": 1_200_000}
    await market.ask("PATCH", "/v1/publishers/pub", {"revenue_share_ppm": 500_000})
    await market.click("t3", "theirs")
    assert await market.micros("/v1/publishers/pub/balance") == {"publisher:payable:pub": 2_200_000}
    await market.ask("PATCH", "/v1/placements/theirs", {"revenue_share_ppm": 0})
    await market.click("t4", "theirs")
    assert await market.micros("/v1/publishers/pub/balance") == {"publisher:payable:pub": 2_200_000}
    await market.reconcile()


async def test_without_a_deposit_nothing_is_charged_until_there_is_credit(market: Market) -> None:
    await market.create("placements", {"id": "ours"})
    await market.line("clicks", {"model": "cpc", "bid_micros": 2_000_000})
    await market.click("t1", "ours")
    assert await market.micros("/v1/advertisers/acme/balance") == {}
    await market.ask("PATCH", "/v1/advertisers/acme", {"credit_limit_micros": 3_000_000})
    await market.click("t2", "ours")
    assert await market.micros("/v1/advertisers/acme/balance") == {"advertiser:receivable:acme": 2_000_000}
    await market.click("t3", "ours")
    assert await market.micros("/v1/advertisers/acme/balance") == {"advertiser:receivable:acme": 2_000_000}
    await market.reconcile()


@pytest.mark.parametrize("account", ["promoter:payable:x", "publisher:payable:x"])
async def test_somebody_who_never_earned_anything_has_no_balance(market: Market, account: str) -> None:
    kind = account.partition(":")[0]
    await market.create(f"{kind}s", {"id": "x"})
    assert await market.micros(f"/v1/{kind}s/x/balance") == {}
