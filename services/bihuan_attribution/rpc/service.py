"""The service, put together from its parts."""

import grpc

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan_attribution.rpc.books import BooksRpc
from bihuan_attribution.rpc.insight import InsightRpc
from bihuan_attribution.rpc.leads import LeadsRpc
from bihuan_attribution.rpc.prospects import BookingsRpc
from bihuan_attribution.rpc.recording import RecordingRpc
from bihuan_attribution.rpc.settlement import SettlementRpc
from bihuan_shared.errors import NotYet

Context = grpc.aio.ServicerContext


class AttributionServicer(
    RecordingRpc,
    InsightRpc,
    BooksRpc,
    SettlementRpc,
    LeadsRpc,
    BookingsRpc,
    attribution_pb2_grpc.AttributionServiceServicer,
):
    """`bihuan.attribution.v1.AttributionService`."""

    async def DeletePerson(  # noqa: N802  # the contract's name
        self, _request: pb.DeletePersonRequest, _context: Context[pb.DeletePersonRequest, pb.DeletePersonResponse]
    ) -> pb.DeletePersonResponse:
        """Not built yet."""
        raise NotYet("erasure from events and touches is not built yet")
