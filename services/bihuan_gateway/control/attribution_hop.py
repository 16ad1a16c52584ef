"""Attribution over gRPC, as the control plane needs it: terms, deposits, figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from bihuan.attribution.v1 import attribution_pb2, event_pb2, ledger_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.insight import (
    Balance,
    LedgerEntry,
    OrderAttribution,
    OrderItem,
    Posting,
    Reconciliation,
    ReportQuery,
    ReportRow,
    Touch,
)
from bihuan_gateway.control.reconcile_hop import RECONCILE_TIMEOUT_S, reconciliation_of
from bihuan_gateway.control.resources import Terms
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_timestamp, to_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub

_DAY_S = 86_400


def terms_message(terms: Terms) -> terms_pb2.CampaignTerms:
    """Write terms for the wire."""
    pricing = terms.pricing
    return terms_pb2.CampaignTerms(
        campaign_id=terms.campaign_id,
        advertiser_id=terms.advertiser_id,
        version=terms.version,
        effective_time=to_timestamp(terms.effective_time_us),
        currency=terms.currency,
        time_zone=terms.time_zone,
        pricing=terms_pb2.Pricing(
            model=terms_pb2.PricingModel.Value(f"PRICING_MODEL_{pricing.model.upper()}"),
            bid_micros=pricing.bid_micros,
            commission_rate_ppm=pricing.commission_rate_ppm,
            promoter_share_ppm=pricing.promoter_share_ppm,
            cpm_trigger=terms_pb2.CpmTrigger.Value(f"CPM_TRIGGER_{pricing.cpm_trigger.upper()}")
            if pricing.model == "cpm"
            else terms_pb2.CPM_TRIGGER_UNSPECIFIED,
        ),
        budget=terms_pb2.Budget(daily_micros=terms.daily_micros, total_micros=terms.total_micros),
        windows=terms_pb2.AttributionWindows(
            click_window=Duration(seconds=terms.click_window_days * _DAY_S),
            view_window=Duration(seconds=terms.view_window_days * _DAY_S),
        ),
        frequency_caps=[
            terms_pb2.FrequencyCap(
                level=terms_pb2.CapLevel.Value(f"CAP_LEVEL_{cap.level.upper()}"),
                window=terms_pb2.CapWindow.Value(f"CAP_WINDOW_{cap.window.upper()}"),
                max_impressions=cap.max_impressions,
            )
            for cap in terms.frequency_caps
        ],
        stopped=terms.stopped,
    )


@dataclass(frozen=True, slots=True)
class AttributionHop:
    """Implements `ports.TermsSink` and `ports.Books`."""

    stub: "AttributionServiceAsyncStub"

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        """Hand over terms, all or none."""
        with asked_by_us():
            await self.stub.PutTerms(attribution_pb2.PutTermsRequest(terms=[terms_message(one) for one in terms]))

    async def deposit(self, advertiser_id: str, deposit_id: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        """Book a deposit once."""
        request = attribution_pb2.DepositRequest(
            advertiser_id=advertiser_id,
            deposit_id=deposit_id,
            amount=common_pb2.Money(currency=currency, micros=amount_micros),
        )
        with asked_by_us():
            return _entry((await self.stub.Deposit(request)).entry)

    async def balances(self, advertiser_id: str) -> list[Balance]:
        """Tell what an advertiser's accounts hold."""
        with asked_by_us():
            answer = await self.stub.GetBalance(attribution_pb2.GetBalanceRequest(advertiser_id=advertiser_id))
        return [Balance(one.account, one.currency, one.balance_nanos) for one in answer.balances]

    async def report(self, query: ReportQuery) -> tuple[list[ReportRow], str]:
        """Return rows and the token of the next page."""
        request = attribution_pb2.QueryReportRequest(
            dimensions=[
                attribution_pb2.ReportDimension.Value(f"REPORT_DIMENSION_{name.upper()}") for name in query.dimensions
            ],
            advertiser_ids=[query.advertiser_id] if query.advertiser_id else [],
            campaign_ids=query.campaign_ids,
            page_size=query.page_size,
            page_token=query.page_token,
        )
        if query.start_time_us is not None and query.end_time_us is not None:
            request.interval.start_time.CopyFrom(to_timestamp(query.start_time_us))
            request.interval.end_time.CopyFrom(to_timestamp(query.end_time_us))
        with asked_by_us():
            answer = await self.stub.QueryReport(request)
        return [_report_row(row) for row in answer.rows], answer.next_page_token

    async def entries(
        self, *, advertiser_id: str, campaign_id: str, page_size: int, page_token: str
    ) -> tuple[list[LedgerEntry], str]:
        """Return entries, oldest first, and the token of the next page."""
        request = attribution_pb2.ListLedgerEntriesRequest(
            advertiser_id=advertiser_id, campaign_id=campaign_id, page_size=page_size, page_token=page_token
        )
        with asked_by_us():
            answer = await self.stub.ListLedgerEntries(request)
        return [_entry(entry) for entry in answer.entries], answer.next_page_token

    async def reconcile(self, *, positions_only: bool = False) -> Reconciliation:
        """Compare the ledger with the events, or only tell where the consumers are."""
        with asked_by_us():
            request = attribution_pb2.ReconcileRequest(positions_only=positions_only)
            answer = await self.stub.Reconcile(request, timeout=RECONCILE_TIMEOUT_S)
        return reconciliation_of(answer)

    async def attribution_of(self, advertiser_id: str, order_id: str) -> OrderAttribution:
        """Explain one order."""
        request = attribution_pb2.GetAttributionRequest(advertiser_id=advertiser_id, order_id=order_id)
        with asked_by_us():
            answer = await self.stub.GetAttribution(request)
        order = answer.order
        return OrderAttribution(
            order_id=order.order_id,
            advertiser_id=order.advertiser_id,
            status=event_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_").lower(),
            order_time_us=to_us(order.order_time),
            currency=order.currency,
            items=tuple(OrderItem(item.item_id, item.quantity, item.paid_micros) for item in order.items),
            touches=tuple(_touch(touch) for touch in answer.touches),
            billed_campaign_id=answer.billed_campaign_id,
            commission_nanos=answer.commission_nanos,
        )


def _entry(entry: ledger_pb2.LedgerEntry) -> LedgerEntry:
    return LedgerEntry(
        entry_id=entry.entry_id,
        kind=entry.kind,
        cause_type=entry.cause_type,
        cause_id=entry.cause_id,
        campaign_id=entry.campaign_id,
        advertiser_id=entry.advertiser_id,
        currency=entry.currency,
        entry_time_us=to_us(entry.entry_time),
        postings=tuple(Posting(posting.account, posting.amount_nanos) for posting in entry.postings),
        decision_id=entry.decision_id,
        corrects_entry_id=entry.corrects_entry_id,
    )


def _touch(touch: attribution_pb2.Touch) -> Touch:
    return Touch(
        event_type=common_pb2.EventType.Name(touch.event_type).removeprefix("EVENT_TYPE_").lower(),
        event_id=touch.event_id,
        touch_time_us=to_us(touch.touch_time),
        campaign_id=touch.campaign_id,
        creative_id=touch.creative_id,
        join=touch.join,
        credit_ppm=touch.credit_ppm,
    )


def _report_row(row: attribution_pb2.ReportRow) -> ReportRow:
    return ReportRow(
        dimension_values=tuple(row.dimension_values),
        currency=row.currency,
        impressions=row.impressions,
        viewables=row.viewables,
        clicks=row.clicks,
        landings=row.landings,
        orders=row.orders,
        order_value_micros=row.order_value_micros,
        spend_nanos=row.spend_nanos,
        overrun_nanos=row.overrun_nanos,
    )
