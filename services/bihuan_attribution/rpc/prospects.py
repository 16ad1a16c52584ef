"""Leads and booked days."""

import grpc

from bihuan.attribution.v1 import booking_pb2, lead_pb2
from bihuan_attribution.rpc.ports import Served
from bihuan_shared.errors import NotYet

Context = grpc.aio.ServicerContext


class LeadsRpc(Served):
    """Leads."""

    async def ListLeads(  # noqa: N802  # the contract's name
        self,
        _request: lead_pb2.ListLeadsRequest,
        _context: Context[lead_pb2.ListLeadsRequest, lead_pb2.ListLeadsResponse],
    ) -> lead_pb2.ListLeadsResponse:
        """Not built yet."""
        raise NotYet("leads are not built yet")

    async def AcknowledgeLeads(  # noqa: N802  # the contract's name
        self,
        _request: lead_pb2.AcknowledgeLeadsRequest,
        _context: Context[lead_pb2.AcknowledgeLeadsRequest, lead_pb2.AcknowledgeLeadsResponse],
    ) -> lead_pb2.AcknowledgeLeadsResponse:
        """Not built yet."""
        raise NotYet("leads are not built yet")


class BookingsRpc(Served):
    """Booked days."""

    async def ListBookingDays(  # noqa: N802  # the contract's name
        self,
        _request: booking_pb2.ListBookingDaysRequest,
        _context: Context[booking_pb2.ListBookingDaysRequest, booking_pb2.ListBookingDaysResponse],
    ) -> booking_pb2.ListBookingDaysResponse:
        """Not built yet."""
        raise NotYet("booked days are not built yet")
