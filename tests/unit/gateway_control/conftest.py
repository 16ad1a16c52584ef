"""The whole gateway in process, over SQLite, with fakes in the place of the other services."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from bihuan_gateway.app import build
from bihuan_gateway.settings import Settings
from tests.unit.gateway_control.outsiders import ADMIN, KEYS, Api, Outsiders, campaign


@pytest.fixture
def outsiders() -> Outsiders:
    return Outsiders()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path,
        admin_key_sha256=hashlib.sha256(ADMIN.encode()).hexdigest(),
        terms_wait_s=0.5,
        auto_approve=True,
        clock="system",
        token_keys=SecretStr(KEYS),
        public_url="https://ads.example/",
    )


@pytest.fixture
async def app(settings: Settings, outsiders: Outsiders) -> AsyncIterator[FastAPI]:
    application = build(settings, outside=outsiders.outside(), data=None)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as opened:
        yield opened


@pytest.fixture
def admin(client: httpx.AsyncClient) -> Api:
    return Api(client, ADMIN)


@pytest.fixture
async def tree(admin: Api) -> dict[str, object]:
    """An advertiser `acme` with one campaign `c1`, ad group `g1`, creative `k1`, and a placement `p1`."""
    await admin.make("/v1/advertisers", {"id": "acme", "display_name": "Acme", "currency": "USD"})
    await admin.make("/v1/placements", {"id": "p1", "width": 300, "height": 250, "currency": "USD"})
    made = await admin.make("/v1/campaigns", campaign(id="c1"))
    await admin.make("/v1/ad-groups", {"id": "g1", "campaign_id": "c1", "display_name": "All"})
    await admin.make("/v1/creatives", {"id": "k1", "ad_group_id": "g1", "landing_url": "https://shop.example/a?b=c"})
    return made
