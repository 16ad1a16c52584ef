"""
The straightforward attribution: one call an event, one transaction a call, the same rules.

Each call opens the token, and in one transaction logs the event and bills it, through the product's own stores and
rules; an answer is a committed and billed event. It hands nothing on to streams or a lake. Arguments: database URL,
port file.
"""

import asyncio
import sys
from pathlib import Path

import grpc
import sqlalchemy as sa
import uvloop
from attribution_process import KEYS

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan_attribution import answers, schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.event import PreparedEvent, Result
from bihuan_attribution.domain.intake import prepare
from bihuan_attribution.event_log_store import SqlEventLog, prepare_heads
from bihuan_attribution.terms_store import SqlTerms
from bihuan_attribution.terms_wire import campaign_terms, placement_terms
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.wire import incoming_event
from bihuan_shared.clock import SystemClock
from bihuan_shared.sql import Database


class NaiveAttribution(attribution_pb2_grpc.AttributionServiceServicer):
    """`RecordEvents` of one event, and `PutTerms`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = SqlEventLog(database)
        self._billing = SqlBilling(database, SystemClock())

    async def PutTerms(self, request: pb.PutTermsRequest, _context: object) -> pb.PutTermsResponse:  # noqa: N802
        """Take in terms."""
        terms = [campaign_terms(one) for one in request.terms]
        await SqlTerms(self._database).put(TermsBatch(terms, (), [placement_terms(one) for one in request.placements]))
        return pb.PutTermsResponse()

    async def RecordEvents(self, request: pb.RecordEventsRequest, _context: object) -> pb.RecordEventsResponse:  # noqa: N802
        """Log and bill one event."""
        now_us = SystemClock().now_us()
        prepared = prepare(incoming_event(request.events[0]), KEYS, now_us)
        if isinstance(prepared, PreparedEvent):
            prepared = await self._database.write(lambda c: self._log_and_bill(c, prepared, now_us))
        return pb.RecordEventsResponse(results=[answers.event_result(prepared, 0)])

    def _log_and_bill(self, connection: sa.Connection, event: PreparedEvent, now_us: int) -> Result:
        (result,) = self._log.append_in(connection, [event])
        self._billing.bill_in(connection, 1, now_us)
        return result


async def serve(database_url: str, port_file: Path) -> None:
    """Serve until killed."""
    database = await Database.open(database_url, schema.metadata, schema="attribution")
    await prepare_heads(database)
    server = grpc.aio.server()
    attribution_pb2_grpc.add_AttributionServiceServicer_to_server(NaiveAttribution(database), server)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    port_file.write_text(str(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], Path(sys.argv[2])))
