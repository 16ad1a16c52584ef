"""Bookings: sealed bids for days of a placement or a keyword, made by advertisers for their CPD campaigns."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field, StrictInt, StringConstraints, ValidationInfo, field_validator

from bihuan_gateway.control.access import Principal, require_tenant, require_writer, visible_tenant
from bihuan_gateway.control.fields import MAX_AMOUNT_MICROS, ResourceId, Spec
from bihuan_gateway.control.ports import ControlStore
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import AdvertiserSpec, CampaignSpec, Kind, PlacementSpec
from bihuan_shared.clock import HOUR_US, Clock, parse_rfc3339_us
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound

MAX_DAYS = 366
_MAX_KEYWORD_BYTES = 128
_CLOSE_BEFORE_MIDNIGHT_US = 14 * HOUR_US
_NAME_BYTES = 10


def _known_date(text: str) -> str:
    found = date.fromisoformat(text)
    if not 1970 <= found.year < 2200:  # noqa: PLR2004 - the years that attribution takes
        raise ValueError("must be between 1970 and 2199")
    return text


def _lower(keyword: str) -> str:
    lower = keyword.lower()
    if lower != lower.strip():
        raise ValueError("has space around it")
    if len(lower.encode()) > _MAX_KEYWORD_BYTES:
        raise ValueError(f"longer than {_MAX_KEYWORD_BYTES} bytes")
    return lower


Day = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_known_date),
    Field(json_schema_extra={"format": "date"}),
]
BookedKeyword = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_lower)]


class BookingSpec(Spec):
    """
    A bid for every date from `start_date` to `end_date`, of one placement or one keyword (which is lower case).

    Without `day_rate_micros` it bids the campaign's, above which it cannot be.
    """

    campaign_id: ResourceId
    placement_id: ResourceId | None = None
    keyword: Annotated[BookedKeyword | None, Field(validate_default=True)] = None
    start_date: Day
    end_date: Day
    day_rate_micros: Annotated[StrictInt, Field(ge=1, le=MAX_AMOUNT_MICROS)] | None = None

    @field_validator("keyword")
    @classmethod
    def _one_target(cls, keyword: str | None, info: ValidationInfo) -> str | None:
        if "placement_id" in info.data and (info.data["placement_id"] is None) == (keyword is None):
            raise ValueError("either this or placement_id is needed, and not both")
        return keyword

    @field_validator("end_date")
    @classmethod
    def _some_days(cls, end_date: str, info: ValidationInfo) -> str:
        start_date = info.data.get("start_date", end_date)
        if not 0 <= (date.fromisoformat(end_date) - date.fromisoformat(start_date)).days < MAX_DAYS:
            raise ValueError(f"must be on start_date or at most {MAX_DAYS - 1} days later")
        return end_date


@dataclass(frozen=True, slots=True)
class Booking:
    """
    A booking as it stands; its spec holds the rate. Currency and time zone are those of the account.

    `cancel_time_us` is 0 while it stands, `told` says whether attribution knows it as it is, and `refusal` why
    attribution does not take it, empty where it does.
    """

    id: str
    advertiser_id: str
    currency: str
    time_zone: str
    spec: BookingSpec
    create_time_us: int
    cancel_time_us: int = 0
    told: bool = False
    refusal: str = ""

    @property
    def version(self) -> int:
        """1, and 2 once it was taken back."""
        return 2 if self.cancel_time_us else 1

    @property
    def state(self) -> str:
        """`refused`, `pending` (attribution does not know it as it is yet), `cancelled` or `standing`."""
        if self.refusal:
            return "refused"
        if not self.told:
            return "pending"
        return "cancelled" if self.cancel_time_us else "standing"


@dataclass(frozen=True, slots=True)
class BookedDate:
    """What became of one date of a booking; bounds in microseconds. The state is a word such as `won`."""

    date: str
    start_time_us: int
    end_time_us: int
    state: str


class BookingStore(Protocol):
    """Keeps bookings, and which of them attribution is to be told."""

    async def create(self, booking: Booking, receipt: Receipt | None) -> Booking:
        """Store a booking with its receipt; the same receipt again answers what it made. AlreadyExists else."""
        ...

    async def find_receipt(self, receipt: Receipt) -> Booking | None:
        """Return what the idempotency key made, None where it is new; AlreadyExists where it made something else."""
        ...

    async def find(self, booking_id: str) -> Booking | None:
        """Return one booking, or None."""
        ...

    async def list_page(
        self, *, size: int, after: str, advertiser_id: str | None, campaign_id: str | None
    ) -> tuple[list[Booking], str]:
        """Return bookings by id, and the id to go on after, empty at the end."""
        ...

    async def cancel(self, booking_id: str, cancel_time_us: int) -> None:
        """Note that a booking was taken back; the first time stands."""
        ...


class BookingBook(Protocol):
    """Attribution, as it keeps booked days."""

    async def put_bookings(self, bookings: Sequence[Booking]) -> None:
        """Hand over up to 1,000 bookings, all or none."""
        ...

    async def booked_dates(self, booking: Booking) -> list[BookedDate]:
        """Tell what became of the dates of a booking; none where attribution does not know it."""
        ...


@dataclass(frozen=True, slots=True)
class BookingDesk:
    """
    Makes, shows and takes back bookings.

    `after_write` runs after each committed write and hands bookings to attribution, as far as it answers soon.
    """

    bookings: BookingStore
    resources: ControlStore
    book: BookingBook
    clock: Clock
    random_bytes: Callable[[int], bytes]
    after_write: Callable[[], Awaitable[None]]

    async def create(
        self, principal: Principal, spec: BookingSpec, *, booking_id: str | None = None, key: str | None = None
    ) -> Booking:
        """
        Bid for days; `key` is the caller's idempotency key.

        PermissionDenied for keys that only read, NotFound for another tenant's campaign, InvalidArgument for what does
        not fit, FailedPrecondition where bids for the first date have closed, AlreadyExists for a taken id or a key
        used otherwise.
        """
        require_writer(principal)
        receipt = None
        if key is not None:
            body = {"id": booking_id, "spec": spec.model_dump(mode="json")}
            receipt = Receipt(principal.key_id, key, Receipt.fingerprint_of("create bookings", body))
            if (made := await self.bookings.find_receipt(receipt)) is not None:
                return made
        campaign, account = await self._campaign(principal, spec)
        spec = await self._fitting(spec, campaign, account)
        now_us = self.clock.now_us()
        if now_us >= close_time_us(spec.start_date):
            violation = FieldViolation("/start_date", "bids for this date have closed")
            raise FailedPrecondition("bids for the first date have closed", violation)
        letters = base64.b32encode(self.random_bytes(_NAME_BYTES)).decode().rstrip("=").lower()
        booking = Booking(
            id=booking_id or f"booking-{letters}",
            advertiser_id=campaign.advertiser_id,
            currency=account.currency,
            time_zone=account.time_zone,
            spec=spec,
            create_time_us=now_us,
        )
        made = await self.bookings.create(booking, receipt)
        await self.after_write()
        return await self.bookings.find(made.id) or made

    async def get(self, principal: Principal, booking_id: str) -> Booking:
        """Return one booking (NotFound, also for another tenant's)."""
        booking = await self.bookings.find(booking_id)
        if booking is None:
            raise NotFound("no such booking")
        require_tenant(principal, booking.advertiser_id, "booking")
        return booking

    async def list(
        self, principal: Principal, *, size: int, after: str, advertiser_id: str | None, campaign_id: str | None
    ) -> tuple[list[Booking], str]:
        """Return one page of what the caller may see, by id, and the id to go on after."""
        tenant = visible_tenant(principal, advertiser_id)
        return await self.bookings.list_page(size=size, after=after, advertiser_id=tenant, campaign_id=campaign_id)

    async def dates(self, principal: Principal, booking_id: str) -> tuple[Booking, Sequence[BookedDate]]:
        """Tell what became of each date of a booking; nothing of others' bids is told."""
        booking = await self.get(principal, booking_id)
        return booking, await self.book.booked_dates(booking)

    async def cancel(self, principal: Principal, booking_id: str) -> Booking:
        """
        Take a booking back: dates whose bids have not closed are not bid for any more. Again, it changes nothing.

        FailedPrecondition where the bids for all of its dates have closed.
        """
        require_writer(principal)
        booking = await self.get(principal, booking_id)
        if booking.cancel_time_us or booking.refusal:
            return booking
        now_us = self.clock.now_us()
        if now_us >= close_time_us(booking.spec.end_date):
            raise FailedPrecondition("bids for all of its dates have closed")
        await self.bookings.cancel(booking_id, max(now_us, booking.create_time_us))
        await self.after_write()
        return await self.get(principal, booking_id)

    async def _campaign(self, principal: Principal, spec: BookingSpec) -> tuple[Resource, AdvertiserSpec]:
        campaign = await self.resources.find(Kind.CAMPAIGNS, spec.campaign_id)
        if campaign is None or principal.tenant not in {None, campaign.advertiser_id}:
            raise NotFound("no such campaign", FieldViolation("/campaign_id", "does not exist"))
        advertiser = await self.resources.find(Kind.ADVERTISERS, campaign.advertiser_id)
        assert advertiser is not None
        assert isinstance(advertiser.spec, AdvertiserSpec)
        return campaign, advertiser.spec

    async def _fitting(self, spec: BookingSpec, campaign: Resource, account: AdvertiserSpec) -> BookingSpec:
        """Check a spec against its campaign and its placement; return it with its rate."""
        assert isinstance(campaign.spec, CampaignSpec)
        pricing = campaign.spec.pricing
        if pricing.model != "cpd":
            raise InvalidArgument.of("/campaign_id", f"the campaign is {pricing.model}, not cpd")
        if spec.day_rate_micros is not None and spec.day_rate_micros > pricing.day_rate_micros:
            raise InvalidArgument.of("/day_rate_micros", "above the campaign's day rate")
        if spec.placement_id is not None:
            place = await self.resources.find(Kind.PLACEMENTS, spec.placement_id)
            if place is None or not isinstance(place.spec, PlacementSpec):
                raise InvalidArgument.of("/placement_id", "no such placement")
            if place.spec.currency != account.currency:
                raise InvalidArgument.of("/placement_id", f"is sold in {place.spec.currency}")
        return spec.model_copy(update={"day_rate_micros": spec.day_rate_micros or pricing.day_rate_micros})


def close_time_us(day: str) -> int:
    """The first instant at which a date is not bid for any more: 10:00 UTC of the day before; attribution decides."""
    return parse_rfc3339_us(f"{day}T00:00:00Z") - _CLOSE_BEFORE_MIDNIGHT_US


def as_made(booking: Booking) -> Booking:
    """The booking as it was when it was made."""
    return replace(booking, cancel_time_us=0)
