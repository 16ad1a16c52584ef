"""Booked days."""

import grpc

from bihuan.attribution.v1 import booking_pb2
from bihuan_attribution import answers
from bihuan_attribution.domain.booking import MAX_DAYS, DayState
from bihuan_attribution.domain.booking_day import parse_date
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.use_cases.keep_days import DayQuery
from bihuan_shared.errors import InvalidArgument

_DEFAULT_DAYS = 1_000

Context = grpc.aio.ServicerContext


class BookingsRpc(Served):
    """Booked days."""

    async def ListBookingDays(  # noqa: N802  # the contract's name
        self,
        request: booking_pb2.ListBookingDaysRequest,
        _context: Context[booking_pb2.ListBookingDaysRequest, booking_pb2.ListBookingDaysResponse],
    ) -> booking_pb2.ListBookingDaysResponse:
        """Days by date and booking."""
        limit = request.page_size or _DEFAULT_DAYS
        found = await self._ports.days.days(_day_query(request, limit + 1))
        last = found[limit - 1] if len(found) > limit else None
        return booking_pb2.ListBookingDaysResponse(
            days=[answers.booking_day(one) for one in found[:limit]],
            next_page_token=seal_page([last.date, last.booking_id]) if last is not None else "",
        )


def _day_query(request: booking_pb2.ListBookingDaysRequest, limit: int) -> DayQuery:
    first, last = parse_date(request.start_date), parse_date(request.end_date)
    for name, day in (("start_date", first), ("end_date", last)):
        if day is None:
            raise InvalidArgument.of(name, "is not a date between 1970 and 2199 such as 2026-03-08")
    assert first is not None
    assert last is not None
    if not 0 <= (last - first).days < MAX_DAYS:
        raise InvalidArgument.of("end_date", f"must be on start_date or at most {MAX_DAYS - 1} days later")
    if booking_pb2.BOOKING_DAY_STATE_UNSPECIFIED in request.states:
        raise InvalidArgument.of("states", "must be known ones")
    after = open_page(request.page_token, 2)
    if after and parse_date(after[0]) is None:
        raise InvalidArgument.of("page_token", "is not one that was given for this query")
    states = frozenset(DayState(one) for one in request.states)
    return DayQuery(
        request.start_date, request.end_date, request.advertiser_id, request.booking_id, states, limit, after
    )
