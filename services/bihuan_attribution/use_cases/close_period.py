"""Closing a period: first everything is billed that the log held when it was asked for."""

import asyncio
from typing import Final

from bihuan_attribution.domain.invoice import Invoice
from bihuan_attribution.domain.period import Period
from bihuan_attribution.use_cases.settlement_ports import Periods

POLL_S: Final = 0.05
POLLS: Final = 60
"""How often billing is looked at before the close is refused: three seconds, so that a call keeps its deadline."""


async def close_period(period: str, periods: Periods, now_us: int) -> tuple[Period, list[Invoice]]:
    """
    Close a period and make its invoices; errors as in `Periods.close`.

    Billing is waited for a while, because under load it is always a moment behind; the store itself decides.
    """
    billed_to = await periods.log_head()
    for _ in range(POLLS):
        if await periods.billed_position() >= billed_to:
            break
        await asyncio.sleep(POLL_S)
    return await periods.close(period, billed_to, now_us)
