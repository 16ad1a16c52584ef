"""Bookings in SQL; a booking that attribution does not know as it is stands in its own outbox."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_gateway.control.bookings import Booking, BookingSpec, as_made
from bihuan_gateway.control.resources import Receipt
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.tables import METADATA, RECEIPTS, RESOURCES
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database, insert_ignore

COLLECTION = "bookings"
BOOKINGS = sa.Table(
    "bookings",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("advertiser_id", sa.String(64), nullable=False),
    sa.Column("campaign_id", sa.String(64), sa.ForeignKey("campaigns.id"), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("cancel_time_us", sa.BigInteger, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False, index=True),
    sa.Column("refusal", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Index("ix_bookings_tenant", "advertiser_id", "id"),
    sa.Index("ix_bookings_campaign", "campaign_id", "id"),
)
"""`told` is false while attribution is to be told of a booking as it is; a refused one is not told again."""
_CAMPAIGNS = RESOURCES[Kind.CAMPAIGNS]


@dataclass(frozen=True, slots=True)
class SqlBookings:
    """Implements `bookings.BookingStore` and `booking_relay.BookingOutbox` on the gateway's own database."""

    database: Database

    async def create(self, booking: Booking, receipt: Receipt | None) -> Booking:
        """Store a booking with its receipt in one transaction; see the port."""
        dialect = self.database.dialect

        def insert(connection: sa.Connection) -> Booking:
            if receipt is not None:
                new = insert_ignore(dialect, RECEIPTS).values(_receipt_row(booking, receipt))
                if connection.execute(new).rowcount == 0:
                    made = _made_before(connection, receipt)
                    assert made is not None
                    return made
            if connection.execute(insert_ignore(dialect, BOOKINGS).values(_row(booking))).rowcount == 0:
                raise AlreadyExists("the id of this booking is taken")
            return booking

        return await self.database.write(insert)

    async def find_receipt(self, receipt: Receipt) -> Booking | None:
        """Return what the idempotency key made before; see the port."""
        return await self.database.read(lambda connection: _made_before(connection, receipt))

    async def find(self, booking_id: str) -> Booking | None:
        """Return one booking, or None."""
        return await self.database.read(lambda connection: _find(connection, booking_id))

    async def list_page(
        self, *, size: int, after: str, advertiser_id: str | None, campaign_id: str | None
    ) -> tuple[list[Booking], str]:
        """Return bookings by id, and the id to go on after."""
        statement = sa.select(BOOKINGS).where(BOOKINGS.c.id > after).order_by(BOOKINGS.c.id).limit(size + 1)
        if advertiser_id is not None:
            statement = statement.where(BOOKINGS.c.advertiser_id == advertiser_id)
        if campaign_id is not None:
            statement = statement.where(BOOKINGS.c.campaign_id == campaign_id)
        rows = await self.database.read(lambda c: [_booking(row) for row in c.execute(statement).mappings()])
        return rows[:size], rows[size - 1].id if len(rows) > size else ""

    async def cancel(self, booking_id: str, cancel_time_us: int) -> None:
        """Note that a booking was taken back; the first time stands."""
        statement = (
            sa.update(BOOKINGS)
            .where(BOOKINGS.c.id == booking_id, BOOKINGS.c.cancel_time_us == 0)
            .values(cancel_time_us=cancel_time_us, told=False)
        )
        await self.database.write(lambda connection: connection.execute(statement))

    async def untold(self, limit: int) -> list[Booking]:
        """Return bookings that attribution is to be told, oldest first, of campaigns whose terms it knows."""
        known = sa.select(_CAMPAIGNS.c.id).where(_CAMPAIGNS.c.terms_acked_version > 0)
        statement = (
            sa.select(BOOKINGS)
            .where(BOOKINGS.c.told.is_(False), BOOKINGS.c.refusal == "", BOOKINGS.c.campaign_id.in_(known))
            .order_by(BOOKINGS.c.create_time_us, BOOKINGS.c.id)
            .limit(limit)
        )
        return await self.database.read(lambda c: [_booking(row) for row in c.execute(statement).mappings()])

    async def count_untold(self) -> int:
        """Return how many bookings attribution is to be told."""
        statement = sa.select(sa.func.count()).where(BOOKINGS.c.told.is_(False), BOOKINGS.c.refusal == "")
        return await self.database.read(lambda connection: int(connection.execute(statement).scalar_one()))

    async def note_told(self, bookings: Sequence[Booking]) -> None:
        """Note what attribution took; a booking that was taken back meanwhile is told again."""
        as_told = (BOOKINGS.c.id == sa.bindparam("i")) & (BOOKINGS.c.cancel_time_us == sa.bindparam("c"))
        statement = sa.update(BOOKINGS).where(as_told).values(told=True)
        rows = [{"i": one.id, "c": one.cancel_time_us} for one in bookings]
        await self.database.write(lambda connection: connection.execute(statement, rows))

    async def note_refused(self, booking_id: str, refusal: str) -> None:
        """Note why attribution does not take a booking; it is not told again."""
        statement = sa.update(BOOKINGS).where(BOOKINGS.c.id == booking_id).values(refusal=refusal)
        await self.database.write(lambda connection: connection.execute(statement))


def _find(connection: sa.Connection, booking_id: str) -> Booking | None:
    row = connection.execute(sa.select(BOOKINGS).where(BOOKINGS.c.id == booking_id)).mappings().first()
    return None if row is None else _booking(row)


def _made_before(connection: sa.Connection, receipt: Receipt) -> Booking | None:
    statement = sa.select(RECEIPTS).where(
        RECEIPTS.c.caller == receipt.caller, RECEIPTS.c.idempotency_key == receipt.key
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != receipt.fingerprint or row["kind"] != COLLECTION:
        raise AlreadyExists("this idempotency key was used for another request")
    made = _find(connection, row["resource_id"])
    assert made is not None
    return as_made(made)


def _row(booking: Booking) -> dict[str, object]:
    return {
        "id": booking.id,
        "advertiser_id": booking.advertiser_id,
        "campaign_id": booking.spec.campaign_id,
        "currency": booking.currency,
        "time_zone": booking.time_zone,
        "create_time_us": booking.create_time_us,
        "cancel_time_us": booking.cancel_time_us,
        "told": booking.told,
        "refusal": booking.refusal,
        "spec": booking.spec.model_dump_json(),
    }


def _receipt_row(booking: Booking, receipt: Receipt) -> dict[str, object]:
    return {
        "caller": receipt.caller,
        "idempotency_key": receipt.key,
        "fingerprint": receipt.fingerprint,
        "kind": COLLECTION,
        "resource_id": booking.id,
        "create_time_us": booking.create_time_us,
        "spec": booking.spec.model_dump_json(),
    }


def _booking(row: sa.RowMapping) -> Booking:
    return Booking(
        id=row["id"],
        advertiser_id=row["advertiser_id"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        spec=BookingSpec.model_validate_json(row["spec"]),
        create_time_us=row["create_time_us"],
        cancel_time_us=row["cancel_time_us"],
        told=bool(row["told"]),
        refusal=row["refusal"],
    )
