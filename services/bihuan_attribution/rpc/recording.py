"""What comes in: terms, events, and requests for money and cap slots."""

from collections import Counter
from dataclasses import replace

import grpc

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan_attribution import answers
from bihuan_attribution.domain.event import NO_SIGNALS
from bihuan_attribution.domain.lease import LeaseWish
from bihuan_attribution.domain.lease_part import LEASE
from bihuan_attribution.domain.reserve import Candidate, Item
from bihuan_attribution.metrics import EVENTS
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.terms_wire import advertiser_terms, booking, campaign_terms, placement_terms
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.put_terms import put_terms
from bihuan_attribution.wire import incoming_event
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import replay_time_us, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument

Context = grpc.aio.ServicerContext


class RecordingRpc(Served):
    """Terms, events, reservations."""

    async def PutTerms(  # noqa: N802  # the contract's name
        self, request: pb.PutTermsRequest, _context: Context[pb.PutTermsRequest, pb.PutTermsResponse]
    ) -> pb.PutTermsResponse:
        """Take in terms, all or none."""
        ports = self._ports
        batch = TermsBatch(
            terms=tuple(campaign_terms(one) for one in request.terms),
            advertisers=tuple(advertiser_terms(one) for one in request.advertisers),
            placements=tuple(placement_terms(one) for one in request.placements),
            bookings=tuple(booking(one) for one in request.bookings),
            take_time_us=ports.clock.now_us(),
        )
        await put_terms(batch, ports.terms_store, ports.terms, ports.budgets)
        for advertiser_id in sorted({one.advertiser_id for one in batch.advertisers}):
            await ports.push_balance(advertiser_id)
        return pb.PutTermsResponse()

    async def RecordEvents(  # noqa: N802  # the contract's name
        self, request: pb.RecordEventsRequest, _context: Context[pb.RecordEventsRequest, pb.RecordEventsResponse]
    ) -> pb.RecordEventsResponse:
        """Commit events; times of receipt and signals are believed of our own gateways only."""
        events = [incoming_event(one) for one in request.events]
        if current_caller().role is not Role.INTERNAL:
            events = [replace(one, receive_time_us=None, signals=NO_SIGNALS) for one in events]
        results = await self._ports.recorder.record(events)
        for outcome, count in Counter(one.outcome for one in results).items():
            EVENTS.labels(outcome.value).inc(count)
        return pb.RecordEventsResponse(results=[answers.event_result(one, index) for index, one in enumerate(results)])

    async def ReserveBudget(  # noqa: N802  # the contract's name
        self, request: pb.ReserveBudgetRequest, _context: Context[pb.ReserveBudgetRequest, pb.ReserveBudgetResponse]
    ) -> pb.ReserveBudgetResponse:
        """Set money and slots aside."""
        items = [_item(index, one) for index, one in enumerate(request.items)]
        found = await self._ports.reserver.reserve(items, validate_only=request.validate_only)
        return pb.ReserveBudgetResponse(results=[answers.reserve_result(one) for one in found])

    async def LeaseBudgets(  # noqa: N802  # the contract's name
        self, request: pb.LeaseBudgetsRequest, _context: Context[pb.LeaseBudgetsRequest, pb.LeaseBudgetsResponse]
    ) -> pb.LeaseBudgetsResponse:
        """Set money of campaigns aside for one decider."""
        wishes = [LeaseWish(one.campaign_id, one.advertiser_id, one.amount_nanos) for one in request.items]
        return answers.lease(await self._ports.leaser.lease(request.lease_id, wishes))


def _item(index: int, message: pb.ReserveItem) -> Item:
    candidates = tuple(
        Candidate(one.campaign_id, one.advertiser_id, one.ad_group_id, one.creative_id, one.amount_nanos)
        for one in message.candidates
    )
    if message.reservation_id.startswith(LEASE):
        raise InvalidArgument.of(f"items[{index}].reservation_id", "is the id of a lease")
    person_id = message.person.person_id if message.HasField("person") else 0
    time_us = None
    if message.HasField("replay_time"):
        if replay_time_us() is None:
            violation = FieldViolation(f"items[{index}].replay_time", "only in a call that is replayed itself")
            raise InvalidArgument("the clock is not in replay", violation, reason="REPLAY_TIME_REFUSED")
        time_us = to_us(message.replay_time)
    return Item(message.reservation_id, person_id, candidates, time_us)
