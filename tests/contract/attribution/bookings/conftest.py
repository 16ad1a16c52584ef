"""A shop of two advertisers that bid for days, over a real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.booking_list_store import SqlBookingList
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.use_cases.keep_days import DayKeeper, DayQuery
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import parse_rfc3339_us
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

RATE = 3_000_000
NANOS = RATE * 1000


@dataclass
class Shop:
    """A world with a CPD campaign of `acme` and one of `rival`, both in New York."""

    world: "World"
    terms: CampaignTerms
    pushed: list[str]

    def __post_init__(self) -> None:
        self.days = SqlBookingDays(self.world.database)
        self.listing = SqlBookingList(self.world.database)
        self.keeper = self.new_keeper()

    def new_keeper(self, days: SqlBookingDays | None = None) -> DayKeeper:
        async def push(advertiser_id: str) -> None:
            self.pushed.append(advertiser_id)

        return DayKeeper(days or self.days, self.world.clock.now_us, push)

    def set_time(self, text: str) -> None:
        self.world.clock.advance_us(parse_rfc3339_us(text) - self.world.clock.now_us())

    def bid(self, name: str = "b1", start: str = "2026-03-08", end: str = "", **changes: object) -> Booking:
        booking = Booking(
            booking_id=name,
            campaign_id="acme-d",
            advertiser_id="acme",
            placement_id="home",
            keyword="",
            start_date=start,
            end_date=end or start,
            day_rate_micros=RATE,
            currency="USD",
            time_zone="America/New_York",
            create_time_us=self.world.clock.now_us(),
        )
        return replace(booking, **changes)  # type: ignore[arg-type]  # names of its fields

    def rival(self, name: str, **changes: object) -> Booking:
        return self.bid(name, **({"campaign_id": "rival-d", "advertiser_id": "rival"} | changes))  # type: ignore[arg-type]  # as above

    async def put(self, *bookings: Booking) -> int:
        return await self.world.terms.put(TermsBatch(bookings=bookings, take_time_us=self.world.clock.now_us()))

    async def keep(self) -> None:
        await keep(self.keeper)

    async def states(self, start: str = "2026-01-01", end: str = "2026-12-31", **only: object) -> dict[str, str]:
        found = await self.listing.days(query(start, end, **only))
        return {one.cause_id: one.state.name for one in found}

    async def charges(self) -> list[tuple[str, int]]:
        booked = await self.world.ledger.entries("", "", 0, 1000)
        return [
            (one.entry.cause_id, sum(p.amount_nanos for p in one.entry.postings if p.amount_nanos > 0))
            for one in booked
            if one.entry.cause_type == "booking"
        ]


async def keep(keeper: DayKeeper) -> None:
    while await keeper.step():
        pass


def query(start: str, end: str, **only: object) -> DayQuery:
    wanted: dict[str, object] = {"advertiser_id": "", "booking_id": "", "states": frozenset(), "limit": 1000} | only
    return DayQuery(start, end, **wanted)  # type: ignore[arg-type]  # names of its fields


def terms_of(advertiser_id: str, base: CampaignTerms, **changes: object) -> CampaignTerms:
    made = replace(
        base,
        campaign_id=f"{advertiser_id}-d",
        advertiser_id=advertiser_id,
        currency="USD",
        time_zone="America/New_York",
        pricing_model="cpd",
        effective_time_us=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of its fields


@pytest.fixture
async def shop(database_url: str, make_world: object, cps: CampaignTerms) -> AsyncIterator[Shop]:
    database = await Database.open(database_url, schema.metadata, schema="attribution")
    await prepare_heads(database)
    world, base = make_world(database)  # type: ignore[operator]  # the fixture of the package
    made = Shop(world, base, [])
    made.set_time("2026-03-01T00:00:00Z")
    await world.terms.put(TermsBatch([terms_of("acme", base), terms_of("rival", base)]))
    yield made
    await world.recorder.close()
    await database.close()


async def stored(shop: Shop, name: str) -> Booking:
    table = schema.bookings
    row = await shop.world.database.read(lambda c: c.execute(sa.select(table).where(table.c.booking_id == name)).one())
    values = {key: value for key, value in row._mapping.items() if key != "seq"}
    return Booking(**values)
