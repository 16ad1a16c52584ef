"""What a booking must be like to be taken in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from bihuan_attribution.domain.booking import MAX_DAYS, Booking
from bihuan_attribution.domain.booking_day import close_time_us, day_bounds_us, parse_date
from bihuan_attribution.domain.budget_day import is_time_zone
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument


def check_booking(booking: Booking, path: str) -> None:
    """Refuse what no booking can be, whatever else is known (InvalidArgument with the field below `path`)."""
    if not (booking.placement_id or booking.keyword):
        raise InvalidArgument.of(f"{path}.target", "must name a placement or a keyword")
    if booking.keyword != booking.keyword.lower().strip():
        raise InvalidArgument.of(f"{path}.keyword", "must be lower case, without space around it")
    if not is_time_zone(booking.time_zone):
        raise InvalidArgument.of(f"{path}.time_zone", "is not a known IANA name")
    first, last = _date(booking.start_date, f"{path}.start_date"), _date(booking.end_date, f"{path}.end_date")
    if not 0 <= (last - first).days < MAX_DAYS:
        raise InvalidArgument.of(f"{path}.end_date", f"must be on start_date or at most {MAX_DAYS - 1} days later")
    for day in booking.dates():
        start_us, end_us = day_bounds_us(day, booking.time_zone)
        if start_us == end_us:
            raise InvalidArgument.of(f"{path}.start_date", f"there is no {day.isoformat()} in {booking.time_zone}")
    if booking.cancel_time_us and booking.cancel_time_us < booking.create_time_us:
        raise InvalidArgument.of(f"{path}.cancel_time", "must not be before create_time")


def _date(text: str, path: str) -> date:
    found = parse_date(text)
    if found is None:
        raise InvalidArgument.of(path, "is not a date between 1970 and 2199 such as 2026-03-08")
    return found


def is_cancelled_now(booking: Booking, held: Booking) -> bool:
    """
    Whether a booking that is held is told again as taken back.

    AlreadyExists (CONTENT_CONFLICT) where anything else has changed: a bid is for ever the same, and taken back once.
    What was told before it was taken back may come late, and again; it changes nothing.
    """
    if booking in (held, replace(held, cancel_time_us=0)):
        return False
    if held.cancel_time_us == 0 and replace(booking, cancel_time_us=0) == held:
        return True
    raise AlreadyExists(f"booking {held.booking_id} has another content")


def check_new(booking: Booking, terms: CampaignTerms | None, last_awarded: date, now_us: int, path: str) -> None:
    """
    Refuse a new booking that does not fit its campaign, or one of whose dates is not bid for any more.

    `last_awarded` is the last date that was awarded already; it counts beside the clock, which may have gone back.
    FailedPrecondition names the field below `path`. A booking with a closed date is refused as a whole, so that nobody
    has less than what was bid for without having been told.
    """
    if terms is None:
        raise _unfit(f"{path}.campaign_id", "there are no terms of this campaign")
    if terms.pricing_model != "cpd":
        raise _unfit(f"{path}.campaign_id", f"the campaign is {terms.pricing_model}, not cpd")
    for name in ("advertiser_id", "currency", "time_zone"):
        if getattr(booking, name) != getattr(terms, name):
            raise _unfit(f"{path}.{name}", "is not that of the campaign")
    first = next(booking.dates())
    if first <= last_awarded or now_us >= close_time_us(first):
        raise _unfit(f"{path}.start_date", f"bids for {booking.start_date} have closed")


def check_currency(booking: Booking, others: Sequence[Booking], path: str) -> None:
    """Refuse another currency than that of the bids that a placement has for the same dates (FailedPrecondition)."""
    for one in others:
        overlaps = one.start_date <= booking.end_date and booking.start_date <= one.end_date
        stands = any(one.bids_for(day) for day in one.dates())
        if one.placement_id == booking.placement_id and one.currency != booking.currency and overlaps and stands:
            raise _unfit(f"{path}.currency", f"the placement is sold in {one.currency}")


def _unfit(field: str, description: str) -> FailedPrecondition:
    return FailedPrecondition(f"{field}: {description}", FieldViolation(field, description))
