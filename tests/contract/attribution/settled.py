"""Histories to settle: what the tests of periods, payouts, proofs and traces start from."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.domain.accounts import PlacementTerms
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import Finding
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.payout_store import SqlPayouts
from bihuan_attribution.period_store import SqlPeriods
from bihuan_attribution.trace_store import SqlEntryFiles
from bihuan_attribution.use_cases.close_period import close_period
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.verify_store import SqlVerifier
from bihuan_shared.clock import HOUR_US

if TYPE_CHECKING:
    from bihuan_attribution.domain.invoice import Invoice
    from bihuan_attribution.domain.period import Period
    from bihuan_attribution.domain.proof import Proof
    from tests.contract.attribution.conftest import World

COMPLETED = event_pb2.ORDER_STATUS_COMPLETED
PRICE_MICROS = 2_345_678


class _UndoneError(Exception):
    """What was tampered with was looked at."""


@dataclass
class Books:
    """A world and the stores that settle it."""

    world: "World"

    def __post_init__(self) -> None:
        database = self.world.database
        self.payouts, self.periods = SqlPayouts(database), SqlPeriods(database)
        self.verifier, self.files = SqlVerifier(database), SqlEntryFiles(database)

    async def terms(self, campaign_id: str) -> CampaignTerms:
        return next(one for one in (await self.world.terms.since(0))[1] if one.campaign_id == campaign_id)

    async def shown(self, campaign_id: str, token_id: str, *, promoter: str = "", person: int = 7) -> None:
        """An impression and its click."""
        world = self.world
        token = world.token(
            token_id, await self.terms(campaign_id), price=PRICE_MICROS, promoter=promoter, person=person
        )
        await world.record(world.beacon("impression", token), world.beacon("click", token))

    async def bought(self, order_id: str, token_id: str, micros: int, *, complete: bool = True) -> None:
        """An order by a click, paid and, where wanted, completed."""
        world = self.world
        await world.record(world.order(f"{order_id}-1", order_id, paid=[micros], click_id=token_id, person=0))
        if complete:
            await self.completed(order_id)

    async def completed(self, order_id: str) -> None:
        world = self.world
        await world.record(world.order(f"{order_id}-2", order_id, status=COMPLETED, update=True, person=0))

    async def keep_days(self) -> None:
        """Award and charge the booked days that are due."""
        days, now_us = SqlBookingDays(self.world.database), self.world.clock.now_us()
        while await days.award_next(now_us) or await days.charge_due(now_us, 1):
            pass

    async def close(self, period: str) -> "tuple[Period, list[Invoice]]":
        return await close_period(period, self.periods, self.world.clock.now_us())

    async def proof(self) -> "Proof":
        return await self.verifier.verify(0)

    async def sql(self, statement: str, **values: object) -> int:
        """Change the books behind everybody's back; how many rows there were."""
        return await self.world.database.write(lambda c: c.execute(sa.text(statement), values).rowcount)

    async def tampered(self, *tampering: "str | Callable[[sa.Connection], object]") -> list[tuple[str, int]]:
        """The faults, by invariant and entry, of books that somebody tampered with; it is undone afterwards."""
        found: list[tuple[str, int]] = []

        def attempt(connection: sa.Connection) -> None:
            found.clear()
            for one in tampering:
                if callable(one):
                    one(connection)
                else:
                    assert connection.execute(sa.text(one)).rowcount > 0, f"{one} changes nothing"
            found.extend((one.invariant, one.entry_id) for one in self.verifier._verify(connection, 0).faults)
            raise _UndoneError

        with suppress(_UndoneError):
            await self.world.database.write(attempt)
        return found

    async def scalar(self, statement: str, **values: object) -> int:
        return int(await self.world.database.read(lambda c: c.execute(sa.text(statement), values).scalar()) or 0)

    def go_to(self, *date: int) -> None:
        """Move the clock to a date in UTC."""
        at = datetime(*date, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day
        self.world.clock.advance_us(int(at.timestamp()) * 1_000_000 - self.world.clock.now_us())


async def mixed_history(world: "World") -> Books:
    """
    Everything that the ledger knows, over a closed and an open month.

    Deposits, charges by view and by click with a publisher's share, another advertiser, commissions with and without a
    promoter that are estimated, payable, moved to a later click, refunded and cancelled, a late finding, a payout, two
    booked days, a closed month with invoices, and corrections of it afterwards.
    """
    books = Books(world)
    rival = replace(await books.terms("cpm-1"), campaign_id="rival-1", advertiser_id="rival")
    second = replace(await books.terms("cps-1"), campaign_id="cps-2", commission_rate_ppm=123_457)
    days = replace(await books.terms("cpm-1"), campaign_id="cpd-1", pricing_model="cpd")
    booking = Booking(
        "b/1", "cpd-1", "acme", "pl", "", "2023-11-20", "2023-11-21", PRICE_MICROS, "CNY", days.time_zone,
        world.clock.now_us(),
    )  # fmt: skip
    placement = PlacementTerms("pl", 1, world.clock.now_us() - HOUR_US, "pub", 300_000, "")
    await world.terms.put(TermsBatch([rival, second, days], (), [placement], [booking], world.clock.now_us()))
    await world.ledger.deposit("acme", "dep-1", "CNY", 3_000_000_000, world.clock.now_us())
    for number in range(3):
        await books.shown("cpm-1", f"m{number}")
        await books.shown("cpc-1", f"c{number}")
        await books.shown("rival-1", f"v{number}")
    await books.shown("cps-1", "s1", promoter="pia", person=8)
    await books.bought("o1", "s1", 77_777_777)
    await books.bought("o2", "s1", 33_333_333, complete=False)
    await books.shown("cps-1", "s2", person=9)
    await world.record(world.order("o3-1", "o3", paid=[55_555_555], person=9, at_us=world.clock.now_us() + 60_000_000))
    await world.bill()
    world.clock.advance_us(1_000_000)
    await books.shown("cps-2", "s3", person=9)
    await world.record(world.refund("o1-3", 11_111_111, "o1"))
    await world.bill()
    finding = Finding("find-1", "click_farm", ((EventType.CLICK, "c2"), (EventType.IMPRESSION, "m2")))
    await SqlFindings(world.database).credit(finding, world.clock.now_us())
    await books.payouts.pay_out("pay-1", "promoter:payable:pia", "CNY", 1_000_000_000, world.clock.now_us())
    books.go_to(2023, 12, 2)
    await books.keep_days()
    await books.close("2023-11")
    late = world.clock.now_us() - 5 * 24 * HOUR_US
    token = world.token("m9", await books.terms("cpm-1"), price=PRICE_MICROS)
    await world.record(world.beacon("impression", token, late), world.refund("o1-4", 7_777_777, "o1"))
    await world.record(world.order("o2-3", "o2", status=event_pb2.ORDER_STATUS_CANCELLED, update=True, person=0))
    await books.completed("o3")
    await world.ledger.deposit("acme", "dep-2", "CNY", 1_234_567, world.clock.now_us())
    await world.bill()
    return books


async def balances(world: "World") -> dict[tuple[str, str], int]:
    rows = await world.database.read(lambda c: c.execute(sa.select(schema.accounts)).all())
    return {(row.account, row.currency): row.balance_nanos for row in rows}
