"""Attribution over gRPC, as bookings need it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2, booking_pb2, terms_pb2
from bihuan_gateway.control.bookings import MAX_DAYS, BookedDate, Booking
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_timestamp, to_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


@dataclass(frozen=True, slots=True)
class BookingHop:
    """Implements `bookings.BookingBook`."""

    stub: "AttributionServiceAsyncStub"

    async def put_bookings(self, bookings: Sequence[Booking]) -> None:
        """Hand over bookings, all or none."""
        with asked_by_us():
            await self.stub.PutTerms(
                attribution_pb2.PutTermsRequest(bookings=[booking_message(one) for one in bookings])
            )

    async def booked_dates(self, booking: Booking) -> list[BookedDate]:
        """Tell what became of the dates of a booking: all of them in one page."""
        request = booking_pb2.ListBookingDaysRequest(
            start_date=booking.spec.start_date,
            end_date=booking.spec.end_date,
            advertiser_id=booking.advertiser_id,
            booking_id=booking.id,
            page_size=MAX_DAYS,
        )
        with asked_by_us():
            answer = await self.stub.ListBookingDays(request)
        return [
            BookedDate(
                date=day.date,
                start_time_us=to_us(day.start_time),
                end_time_us=to_us(day.end_time),
                state=booking_pb2.BookingDayState.Name(day.state).removeprefix("BOOKING_DAY_STATE_").lower(),
            )
            for day in answer.days
        ]


def booking_message(booking: Booking) -> terms_pb2.Booking:
    """Write a booking for the wire."""
    spec = booking.spec
    message = terms_pb2.Booking(
        booking_id=booking.id,
        campaign_id=spec.campaign_id,
        advertiser_id=booking.advertiser_id,
        start_date=spec.start_date,
        end_date=spec.end_date,
        day_rate_micros=spec.day_rate_micros or 0,
        currency=booking.currency,
        time_zone=booking.time_zone,
        create_time=to_timestamp(booking.create_time_us),
    )
    if spec.placement_id is not None:
        message.placement_id = spec.placement_id
    if spec.keyword is not None:
        message.keyword = spec.keyword
    if booking.cancel_time_us:
        message.cancel_time.CopyFrom(to_timestamp(booking.cancel_time_us))
    return message
