"""
Replays Open Bandit: every logged impression becomes a decision, an impression and, where it was clicked, a click.

There are no persons in the set, so there are none here: no identifiers, no consent, contextual decisions. The click's
delay is not in the set either; CLICK_DELAY_US is ours.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.bandit import BanditRow
from bihuan_cli.replay.decisions import decide
from bihuan_cli.replay.world import bandit_placement, item_keyword
from bihuan_shared.errors import FailedPrecondition

CLICK_DELAY_US = 4_000_000
WINDOW = 64


@dataclass(slots=True)
class BanditCounts:
    """What was replayed under one pricing model."""

    impressions: int = 0
    clicks: int = 0


async def replay_bandit(
    client: GatewayClient, rows: Iterable[BanditRow], model: str, file: str, advance: Callable[[], object]
) -> BanditCounts:
    """
    Replay rows, given in time order, under one pricing model; WINDOW rows are under way at once.

    Request ids carry file and row, so a repeat counts nothing twice. Raises FailedPrecondition where a row is not
    served with its own item.
    """
    counts = BanditCounts()
    places = asyncio.Semaphore(WINDOW)

    async def one(row: BanditRow) -> None:
        try:
            await _replay_row(client, row, model, file, counts)
            advance()
        finally:
            places.release()

    async with asyncio.TaskGroup() as group:
        for row in rows:
            await places.acquire()
            group.create_task(one(row))
    return counts


async def _replay_row(client: GatewayClient, row: BanditRow, model: str, file: str, counts: BanditCounts) -> None:
    body: dict[str, object] = {
        "request_id": f"bandit:{model}:{file}:{row.row}",
        "placements": [{"placement_id": bandit_placement(model, row.position)}],
        "keywords": [item_keyword(row.item_id)],
    }
    placement, _ = await decide(client, body, row.time_us)
    expected = f"bandit-{model}-{row.item_id}"
    if placement.creative is None or placement.creative.campaign_id != expected:
        shown = placement.creative.campaign_id if placement.creative else placement.reason
        raise FailedPrecondition(f"row {row.row} of {file} should show {expected}, got {shown}")
    assert placement.impression_url is not None
    assert placement.click_url is not None
    await client.follow(placement.impression_url, time_us=row.time_us)
    counts.impressions += 1
    if row.clicked:
        await client.follow(placement.click_url, time_us=row.time_us + CLICK_DELAY_US)
        counts.clicks += 1
