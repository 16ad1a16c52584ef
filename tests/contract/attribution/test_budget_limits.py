"""No budget is ever charged beyond: billing sees to it, and the database refuses where billing does not."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.books import Spending
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

PRICE = 2_000_000
TWO_AND_A_HALF_MICROS = 5_000


async def _charged(world: "World") -> dict[tuple[str, str], int]:
    rows = await world.database.read(lambda c: c.execute(sa.select(schema.budgets)).all())
    return {(row.campaign_id, row.day): row.charged_nanos for row in rows}


async def _two_budgets(world: "World") -> None:
    """One campaign that is limited in a day, one that is limited for ever, and four impressions of each."""
    plain = (await world.terms.since(0))[1][0]
    daily = replace(plain, campaign_id="daily", daily_micros=TWO_AND_A_HALF_MICROS)
    total = replace(plain, campaign_id="total", total_micros=TWO_AND_A_HALF_MICROS)
    await world.terms.put(TermsBatch([daily, total]))
    tokens = [world.token(f"{one.campaign_id}-{n}", one) for n in range(4) for one in (daily, total)]
    await world.record(*(world.beacon("impression", token) for token in tokens))


@pytest.mark.parametrize("batch", [1, 3, 100])
async def test_two_budgets_billed_by_two_at_once_end_at_their_limits(world: "World", batch: int) -> None:
    await _two_budgets(world)
    rivals = [SqlBilling(world.database, world.clock) for _ in range(2)]
    for _ in range(8):
        await asyncio.gather(*(one.bill(batch) for one in rivals))
    charged = await _charged(world)
    assert {key[0]: nanos for key, nanos in charged.items() if key[1]} == {"daily": 2 * PRICE, "total": 2 * PRICE}
    assert charged["total", ""] == charged["daily", ""] == 2 * PRICE
    assert dict((await world.reconcile()).unbilled)["over_budget"] == 4
    assert await world.charged() == 4 * PRICE


async def test_the_next_day_has_its_own_budget(world: "World") -> None:
    await _two_budgets(world)
    world.clock.advance_us(DAY_US)
    (daily,) = [one for one in (await world.terms.since(0))[1] if one.campaign_id == "daily"]
    await world.record(*(world.beacon("impression", world.token(f"late-{n}", daily)) for n in range(3)))
    await world.bill()
    days = [nanos for (campaign, day), nanos in (await _charged(world)).items() if campaign == "daily" and day]
    assert days == [2 * PRICE, 2 * PRICE]


async def test_the_database_refuses_what_billing_would_charge_beyond_a_budget(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    await _two_budgets(world)
    with monkeypatch.context() as patched:
        patched.setattr(Spending, "has_room", lambda *_: True)
        with pytest.raises(sa.exc.IntegrityError, match="ck_budgets_charged"):
            await world.billing.bill(100)
    assert await _charged(world) == {}
    assert await world.entries() == []
    await world.bill()
    assert await world.charged() == 4 * PRICE
    assert dict((await world.reconcile()).unbilled)["over_budget"] == 4


async def test_a_token_in_another_currency_than_its_campaign_is_never_charged(world: "World") -> None:
    plain = (await world.terms.since(0))[1][0]
    await world.record(world.beacon("impression", world.token("t1", replace(plain, currency="EUR"))))
    await world.bill()
    assert await world.entries() == []
    assert dict((await world.reconcile()).unbilled)["currency_mismatch"] == 1
