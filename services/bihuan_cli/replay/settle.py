"""Waits until what was sent has been dealt with."""

import asyncio
from pathlib import Path

import duckdb

from bihuan_cli.api import GatewayClient
from bihuan_cli.replay.totals import positions
from bihuan_shared.errors import Unavailable

PATIENCE_S = 60.0
POLL_S = 0.2


async def wait_for_events(client: GatewayClient) -> None:
    """
    Return when every consumer of attribution's log has reached the position that was its head at the start.

    Raises Unavailable after PATIENCE_S.
    """
    head = (await positions(client)).head_position
    behind: dict[str, int] = {}
    for _ in range(int(PATIENCE_S / POLL_S)):
        behind = {name: at for name, at in (await positions(client)).consumers.items() if at < head}
        if not behind:
            return
        await asyncio.sleep(POLL_S)
    raise Unavailable(f"the consumers {sorted(behind)} did not reach position {head} in {PATIENCE_S:.0f} s")


async def wait_for_decisions(lake: Path, expected: int) -> None:
    """
    Return when the lake holds as many decision records as were asked for.

    Raises Unavailable after PATIENCE_S: training on less would not be the same model in every run.
    """
    found = 0
    for _ in range(int(PATIENCE_S / POLL_S)):
        found = await asyncio.to_thread(_decisions, lake)
        if found >= expected:
            return
        await asyncio.sleep(POLL_S)
    raise Unavailable(f"the lake holds {found} of {expected} decision records after {PATIENCE_S:.0f} s")


def _decisions(lake: Path) -> int:
    if not any((lake / "decisions").rglob("*.parquet")):
        return 0
    pattern = str(lake / "decisions" / "**" / "*.parquet")
    with duckdb.connect() as connection:
        row = connection.execute("select count(distinct decision_id) from read_parquet(?)", [pattern]).fetchone()
    return int(row[0]) if row else 0
