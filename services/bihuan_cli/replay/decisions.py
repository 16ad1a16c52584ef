"""The answer of `POST /v1/decisions`, as far as the replays read it, and how one is asked for."""

import asyncio

import msgspec

from bihuan_cli.api import GatewayClient
from bihuan_shared.errors import Unavailable

BUDGET_UNAVAILABLE = "BUDGET_UNAVAILABLE"
ATTEMPTS = 60
PAUSE_S = 0.5


class Candidate(msgspec.Struct):
    """A candidate and its probability of a click, where it was scored."""

    campaign_id: str
    pctr: float | None = None


class Creative(msgspec.Struct):
    """What won."""

    creative_id: str
    campaign_id: str


class Placement(msgspec.Struct):
    """The decision for one placement."""

    creative: Creative | None = None
    impression_url: str | None = None
    click_url: str | None = None
    landing_url: str | None = None
    reason: str | None = None
    candidates: list[Candidate] = []


class Decision(msgspec.Struct):
    """The decisions of one request."""

    placements: list[Placement]
    model_version: str = ""
    degraded: list[str] = []


async def decide(client: GatewayClient, body: dict[str, object], time_us: int | None) -> tuple[Placement, Decision]:
    """
    Ask for a decision on one placement, again under the same id while no budget answer can be had.

    Raises Unavailable where that lasts.
    """
    for _ in range(ATTEMPTS):
        decision = await client.post("/v1/decisions", body, Decision, time_us=time_us)
        placement = decision.placements[0]
        if placement.reason != BUDGET_UNAVAILABLE:
            return placement, decision
        await asyncio.sleep(PAUSE_S)
    raise Unavailable(f"no budget answer after {ATTEMPTS} attempts")
