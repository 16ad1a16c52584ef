"""The contract's service: messages in, messages out; it decides nothing."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import grpc

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan_attribution import answers
from bihuan_attribution.domain.event import HOUR_US
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.domain.reserve import Candidate, Item
from bihuan_attribution.metrics import EVENTS
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_attribution.use_cases.ports import Auditor, Budgets, Ledger, OrderFiles, ReportQuery, Reports, TermsStore
from bihuan_attribution.use_cases.put_terms import TermsView, put_terms
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.wire import campaign_terms, incoming_event
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import Clock, replay_time_us, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument, NotYet

_MAX_DEPOSIT_MICROS = 10**15
_DEFAULT_ROWS = 1_000
_DEFAULT_ENTRIES = 100
_Context = grpc.aio.ServicerContext


@dataclass(frozen=True, slots=True)
class Ports:
    """What the service works with."""

    clock: Clock
    recorder: Recorder
    reserver: Reserver
    terms_store: TermsStore
    terms: TermsView
    budgets: Budgets
    ledger: Ledger
    reports: Reports
    orders: OrderFiles
    auditor: Auditor
    push_balance: Callable[[str], Awaitable[None]]


class AttributionServicer(attribution_pb2_grpc.AttributionServiceServicer):
    """`bihuan.attribution.v1.AttributionService`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def PutTerms(  # noqa: N802  # the contract's name
        self, request: pb.PutTermsRequest, _context: _Context[pb.PutTermsRequest, pb.PutTermsResponse]
    ) -> pb.PutTermsResponse:
        """Take in terms, all or none."""
        ports = self._ports
        terms = [campaign_terms(one) for one in request.terms]
        await put_terms(terms, ports.terms_store, ports.terms, ports.budgets)
        return pb.PutTermsResponse()

    async def RecordEvents(  # noqa: N802  # the contract's name
        self, request: pb.RecordEventsRequest, _context: _Context[pb.RecordEventsRequest, pb.RecordEventsResponse]
    ) -> pb.RecordEventsResponse:
        """Commit events; the time of receipt is believed of our own gateways only."""
        events = [incoming_event(one) for one in request.events]
        if current_caller().role is not Role.INTERNAL:
            events = [replace(one, receive_time_us=None) for one in events]
        results = await self._ports.recorder.record(events)
        for outcome, count in Counter(one.outcome for one in results).items():
            EVENTS.labels(outcome.value).inc(count)
        return pb.RecordEventsResponse(results=[answers.event_result(one, index) for index, one in enumerate(results)])

    async def ReserveBudget(  # noqa: N802  # the contract's name
        self, request: pb.ReserveBudgetRequest, _context: _Context[pb.ReserveBudgetRequest, pb.ReserveBudgetResponse]
    ) -> pb.ReserveBudgetResponse:
        """Set money and slots aside."""
        items = [_item(index, one) for index, one in enumerate(request.items)]
        found = await self._ports.reserver.reserve(items, validate_only=request.validate_only)
        return pb.ReserveBudgetResponse(results=[answers.reserve_result(one) for one in found])

    async def GetAttribution(  # noqa: N802  # the contract's name
        self, request: pb.GetAttributionRequest, _context: _Context[pb.GetAttributionRequest, pb.GetAttributionResponse]
    ) -> pb.GetAttributionResponse:
        """Explain one order."""
        explained = await explain_order(request.advertiser_id, request.order_id, self._ports.orders)
        return answers.attribution(explained)

    async def QueryReport(  # noqa: N802  # the contract's name
        self, request: pb.QueryReportRequest, _context: _Context[pb.QueryReportRequest, pb.QueryReportResponse]
    ) -> pb.QueryReportResponse:
        """Figures by dimension."""
        query = _report_query(request)
        rows = await self._ports.reports.query(query)
        more = len(rows) > query.limit - 1
        rows = rows[: query.limit - 1]
        return pb.QueryReportResponse(
            rows=[answers.report_row(one) for one in rows],
            next_page_token=seal_page((*rows[-1].values, rows[-1].currency)) if more else "",
        )

    async def ListLedgerEntries(  # noqa: N802  # the contract's name
        self,
        request: pb.ListLedgerEntriesRequest,
        _context: _Context[pb.ListLedgerEntriesRequest, pb.ListLedgerEntriesResponse],
    ) -> pb.ListLedgerEntriesResponse:
        """Entries, oldest first."""
        limit = request.page_size or _DEFAULT_ENTRIES
        (after,) = open_page(request.page_token, 1) or ("0",)
        if not (after.isascii() and after.isdigit()) or int(after) >= 2**63:
            raise InvalidArgument.of("page_token", "is not one that was given for this query")
        found = await self._ports.ledger.entries(request.advertiser_id, request.campaign_id, int(after), limit + 1)
        return pb.ListLedgerEntriesResponse(
            entries=[answers.ledger_entry(one) for one in found[:limit]],
            next_page_token=seal_page([str(found[limit - 1].entry_id)]) if len(found) > limit else "",
        )

    async def GetBalance(  # noqa: N802  # the contract's name
        self, request: pb.GetBalanceRequest, _context: _Context[pb.GetBalanceRequest, pb.GetBalanceResponse]
    ) -> pb.GetBalanceResponse:
        """What an advertiser's accounts hold; none for an advertiser without entries."""
        found = await self._ports.ledger.balances(request.advertiser_id)
        return pb.GetBalanceResponse(
            balances=[
                pb.AccountBalance(account=account, currency=currency, balance_nanos=nanos)
                for account, currency, nanos in found
            ]
        )

    async def Deposit(  # noqa: N802  # the contract's name
        self, request: pb.DepositRequest, _context: _Context[pb.DepositRequest, pb.DepositResponse]
    ) -> pb.DepositResponse:
        """Book a deposit, once by its id."""
        ports, micros = self._ports, request.amount.micros
        if not 0 < micros <= _MAX_DEPOSIT_MICROS:
            raise InvalidArgument.of("amount.micros", f"must be 1 to {_MAX_DEPOSIT_MICROS}")
        booked = await ports.ledger.deposit(
            request.advertiser_id, request.deposit_id, request.amount.currency, micros * 1000, ports.clock.now_us()
        )
        await ports.push_balance(request.advertiser_id)
        return pb.DepositResponse(entry=answers.ledger_entry(booked))

    async def Reconcile(  # noqa: N802  # the contract's name
        self, _request: pb.ReconcileRequest, _context: _Context[pb.ReconcileRequest, pb.ReconcileResponse]
    ) -> pb.ReconcileResponse:
        """Compare the books with the independent fold."""
        return answers.reconciliation(await self._ports.auditor.reconcile())

    async def DeletePerson(  # noqa: N802  # the contract's name
        self, _request: pb.DeletePersonRequest, _context: _Context[pb.DeletePersonRequest, pb.DeletePersonResponse]
    ) -> pb.DeletePersonResponse:
        """Not built yet."""
        raise NotYet("erasure from events and touches is not built yet")


def _item(index: int, message: pb.ReserveItem) -> Item:
    candidates = tuple(
        Candidate(one.campaign_id, one.advertiser_id, one.ad_group_id, one.creative_id, one.amount_nanos)
        for one in message.candidates
    )
    person_id = message.person.person_id if message.HasField("person") else 0
    time_us = None
    if message.HasField("replay_time"):
        if replay_time_us() is None:
            violation = FieldViolation(f"items[{index}].replay_time", "only in a call that is replayed itself")
            raise InvalidArgument("the clock is not in replay", violation, reason="REPLAY_TIME_REFUSED")
        time_us = to_us(message.replay_time)
    return Item(message.reservation_id, person_id, candidates, time_us)


def _report_query(request: pb.QueryReportRequest) -> ReportQuery:
    """The query, for one row more than the page holds."""
    start_us = end_us = None
    if request.HasField("interval"):
        start_us, end_us = to_us(request.interval.start_time), to_us(request.interval.end_time)
        for name, at_us in (("start_time", start_us), ("end_time", end_us)):
            if at_us % HOUR_US:
                raise InvalidArgument.of(f"interval.{name}", "must be on the hour")
        if end_us < start_us:
            raise InvalidArgument.of("interval.end_time", "must not be before the start")
    dimensions = tuple(Dimension(one) for one in request.dimensions)
    if 0 in request.dimensions or len(set(dimensions)) < len(dimensions):
        raise InvalidArgument.of("dimensions", "must be known and differ")
    return ReportQuery(
        dimensions=dimensions,
        start_us=start_us,
        end_us=end_us,
        advertiser_ids=tuple(request.advertiser_ids),
        campaign_ids=tuple(request.campaign_ids),
        limit=(request.page_size or _DEFAULT_ROWS) + 1,
        after=open_page(request.page_token, len(dimensions) + 1),
    )
