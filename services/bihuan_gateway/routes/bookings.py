"""Bookings: sealed bids for days of placements and keywords."""

from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue

from bihuan_gateway.control.bookings import Booking, BookingSpec
from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Control,
    Key,
    Named,
    Size,
    Tenant,
    control_router,
    page_token,
    spec_of,
)
from bihuan_shared.clock import format_rfc3339

router = control_router("bookings")


class BookingCreate(BookingSpec):
    """A booking to make; the id is made where none is given."""

    id: ResourceId | None = None


class BookingView(BookingSpec):
    """A booking as it stands; others' bids are sealed."""

    id: str
    advertiser_id: str
    currency: str
    time_zone: str
    state: Literal["pending", "standing", "cancelled", "refused"]
    refusal: str | None
    create_time: str
    cancel_time: str | None


class BookingPage(BaseModel):
    """A page of bookings, by id."""

    bookings: list[BookingView]
    next_page_token: str


class BookedDayView(BaseModel):
    """What became of one date of a booking, which begins and ends as the account's time zone has it."""

    date: str
    start_time: str
    end_time: str
    state: Literal["open", "won", "outbid", "charged", "unfunded", "cancelled"]


class BookedDaysView(BaseModel):
    """What became of the dates of a booking; none where attribution does not know it yet, or has refused it."""

    booking_id: str
    day_rate_micros: int
    currency: str
    days: list[BookedDayView]


@router.post("/v1/bookings", status_code=201, response_model=BookingView)
async def create_booking(body: BookingCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Bid for days of a placement or a keyword; bids for a date close at 10:00 UTC of the day before."""
    made = await control.bookings.create(caller, spec_of(BookingSpec, body), booking_id=body.id, key=key)
    return JSONResponse(_document(made), status_code=201, headers={"location": f"/v1/bookings/{made.id}"})


@router.get("/v1/bookings/{resource_id}", response_model=BookingView)
async def get_booking(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one booking."""
    return JSONResponse(_document(await control.bookings.get(caller, resource_id)))


@router.get("/v1/bookings", response_model=BookingPage)
async def list_bookings(
    control: Control,
    caller: Caller,
    after: After,
    size: Size = 100,
    advertiser_id: Tenant = None,
    campaign_id: Annotated[ResourceId | None, Query(description="only of this one")] = None,
) -> JSONResponse:
    """List bookings by id."""
    found, next_after = await control.bookings.list(
        caller, size=size, after=after, advertiser_id=advertiser_id, campaign_id=campaign_id
    )
    return JSONResponse({"bookings": [_document(one) for one in found], "next_page_token": page_token(next_after)})


@router.get("/v1/bookings/{resource_id}/days", response_model=BookedDaysView)
async def list_booked_days(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Tell what became of each date of a booking: won, outbid, charged, and so on."""
    booking, days = await control.bookings.dates(caller, resource_id)
    written = [
        {
            "date": one.date,
            "start_time": format_rfc3339(one.start_time_us),
            "end_time": format_rfc3339(one.end_time_us),
            "state": one.state,
        }
        for one in days
    ]
    return JSONResponse(
        {
            "booking_id": booking.id,
            "day_rate_micros": booking.spec.day_rate_micros,
            "currency": booking.currency,
            "days": written,
        }
    )


@router.post("/v1/bookings/{resource_id}:cancel", response_model=BookingView)
async def cancel_booking(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Take a booking back; dates whose bids have closed are not affected. Again, it changes nothing."""
    return JSONResponse(_document(await control.bookings.cancel(caller, resource_id)))


def _document(booking: Booking) -> dict[str, JsonValue]:
    return {
        "id": booking.id,
        "advertiser_id": booking.advertiser_id,
        **booking.spec.model_dump(mode="json"),
        "currency": booking.currency,
        "time_zone": booking.time_zone,
        "state": booking.state,
        "refusal": booking.refusal or None,
        "create_time": format_rfc3339(booking.create_time_us),
        "cancel_time": format_rfc3339(booking.cancel_time_us) if booking.cancel_time_us else None,
    }
