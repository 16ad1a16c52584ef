"""
Commissions and credits of orders: the ledger and the figures are brought to what the order and its clicks now say.

Every call compares what should be with what was posted and posts the difference, so that reports of one order lead to
the same sums in whatever sequence they came.
"""

from collections.abc import Callable, Sequence

from bihuan_attribution.domain.books import Books, Effects, Unbilled
from bihuan_attribution.domain.event import EventType, LoggedEvent
from bihuan_attribution.domain.ledger import (
    Entry,
    Payee,
    Posting,
    estimate_postings,
    payable_postings,
    payable_reversal_postings,
    promoter_account,
)
from bihuan_attribution.domain.order import CommissionState, OrderState, ReportCredit, relation_of
from bihuan_attribution.domain.report import ReportKey, hour_of
from bihuan_attribution.domain.touch import Touch, last_click
from bihuan_shared.money import mul_ppm_nanos

Find = Callable[[str], Touch | None]
"""The click of a token, as far as the batch knows it."""


def settle(
    order: OrderState, met: Sequence[Touch], find: Find, event: LoggedEvent, books: Books, effects: Effects
) -> None:
    """
    Post what the order's state asks for and the ledger lacks; `event` is the cause of it.

    `met` are the clicks that the order meets now: all that join it when it is opened, later the one that was counted.
    """
    effects.touch_order(order, event.position)
    # An order of before clicks were held tells at least whose commission it bears.
    held = find(order.last_click_id or order.commission.token_id)
    held_cps = find(order.last_cps_click_id or order.commission.token_id)
    last = _later(held, last_click(met, order.buyer, books.terms))
    last_cps = _later(held_cps, last_click(met, order.buyer, books.terms, model="cps"))
    order.last_click_id = last.ad.token_id if last is not None else ""
    order.last_cps_click_id = last_cps.ad.token_id if last_cps is not None else ""
    _settle_credit(order, last, books, effects)
    if order.paid and order.outcome is EventType.ORDER:
        _Commission(order, event, books, effects).settle(last_cps)


def _later(held: Touch | None, new: Touch | None) -> Touch | None:
    return max((touch for touch in (held, new) if touch is not None), key=lambda touch: touch.rank, default=None)


def _settle_credit(order: OrderState, click: Touch | None, books: Books, effects: Effects) -> None:
    counts = click is not None and order.paid and not order.cancelled
    target = None
    if click is not None and counts:
        # An action has no currency of its own; its campaign's is that of the account.
        order.currency = order.currency or click.ad.currency
        target = _credit(order, click, books)
    if target == order.credit:
        return
    for credit, sign in ((order.credit, -1), (target, 1)):
        if credit is not None:
            row = effects.row(_order_row(order, credit))
            if order.outcome is EventType.ENGAGEMENT:
                row.engagements += sign
            elif order.outcome is EventType.LEAD:
                row.leads += sign
            else:
                row.orders += sign * credit.orders
                row.direct_orders += sign * (credit.relation == "direct")
                row.order_value_micros += sign * credit.value_micros
    order.credit = target


def _credit(order: OrderState, click: Touch, books: Books) -> ReportCredit:
    ad = click.ad
    terms = books.terms.at(ad.campaign_id, click.touch_time_us)
    return ReportCredit(
        campaign_id=ad.campaign_id,
        creative_id=ad.creative_id,
        placement_id=ad.placement_id,
        pricing_model=ad.pricing_model,
        ad_group_id=ad.ad_group_id,
        audience_id=ad.audience_id,
        promoter_id=ad.promoter_id,
        traffic_source=books.placements.traffic_source(ad.placement_id, click.bill_time_us),
        relation=relation_of(order, terms) if terms is not None else "",
        orders=1,
        value_micros=order.value_micros,
    )


def _order_row(order: OrderState, where: ReportCredit | CommissionState) -> ReportKey:
    return ReportKey(
        advertiser_id=order.advertiser_id,
        campaign_id=where.campaign_id,
        ad_group_id=where.ad_group_id,
        creative_id=where.creative_id,
        audience_id=where.audience_id,
        placement_id=where.placement_id,
        traffic_source=where.traffic_source,
        promoter_id=where.promoter_id,
        pricing_model=where.pricing_model if isinstance(where, ReportCredit) else "cps",
        currency=order.currency,
        hour_us=hour_of(order.order_time_us),
    )


class _Commission:
    """One order's commission in the light of one event."""

    __slots__ = ("books", "effects", "event", "order")

    def __init__(self, order: OrderState, event: LoggedEvent, books: Books, effects: Effects) -> None:
        self.order = order
        self.event = event
        self.books = books
        self.effects = effects

    def settle(self, click: Touch | None) -> None:
        held = self.order.commission
        if held.token_id and (click is None or click.ad.token_id != held.token_id):
            self._reverse(held.net_nanos)
            self.order.commission = CommissionState()
        if click is not None and not self.order.commission.token_id:
            self._open(click)
        if not self.order.commission.token_id:
            return
        commission = self.order.commission
        self._reverse(commission.net_nanos - self.order.kept_nanos())
        if self.order.completed and not commission.payable:
            self._make_payable()

    def _open(self, click: Touch) -> None:
        order, ad = self.order, click.ad
        terms = self.books.terms.at(ad.campaign_id, click.touch_time_us)
        if terms is None or order.cancelled:
            return
        if terms.currency != order.currency:
            self.effects.unbilled.append(Unbilled(self.event.position, "currency_mismatch", order.currency, 0))
            return
        order.rate(terms)
        order.commission = CommissionState(
            campaign_id=ad.campaign_id,
            creative_id=ad.creative_id,
            placement_id=ad.placement_id,
            token_id=ad.token_id,
            decision_id=ad.decision_id,
            rate_ppm=terms.commission_rate_ppm,
            promoter_share_ppm=terms.promoter_share_ppm if ad.promoter_id else 0,
            gross_nanos=order.gross_nanos(),
            estimate_cause=self._cause(ad.token_id),
            promoter_id=ad.promoter_id,
            sub_id=ad.sub_id,
            ad_group_id=ad.ad_group_id,
            audience_id=ad.audience_id,
            traffic_source=self.books.placements.traffic_source(ad.placement_id, click.bill_time_us),
        )
        gross_nanos = order.commission.gross_nanos
        if gross_nanos:
            self._post("commission_estimated", estimate_postings(order.advertiser_id, gross_nanos))
            self._count(gross_nanos)

    def _reverse(self, amount_nanos: int) -> None:
        if amount_nanos <= 0:
            return
        order, commission = self.order, self.order.commission
        commission.reversed_nanos += amount_nanos
        if commission.payable:
            keeps = mul_ppm_nanos(commission.net_nanos, commission.promoter_share_ppm)
            purse = self.books.purse(order.advertiser_id, order.currency)
            payee = _promoter(commission, commission.promoter_nanos - keeps)
            postings = payable_reversal_postings(purse, amount_nanos, payee)
            commission.promoter_nanos = keeps
        else:
            postings = estimate_postings(order.advertiser_id, -amount_nanos)
        self._post("reversal", postings, corrects=True)
        self._count(-amount_nanos)

    def _make_payable(self) -> None:
        order, commission = self.order, self.order.commission
        commission.payable = True
        amount_nanos = commission.net_nanos
        commission.promoter_nanos = mul_ppm_nanos(amount_nanos, commission.promoter_share_ppm)
        if amount_nanos:
            purse = self.books.purse(order.advertiser_id, order.currency)
            payee = _promoter(commission, commission.promoter_nanos)
            self._post("commission_payable", payable_postings(purse, amount_nanos, payee))

    def _count(self, amount_nanos: int) -> None:
        """Add to the report at the order's time, and to what pauses serving today."""
        commission = self.order.commission
        self.effects.row(_order_row(self.order, commission)).spend_nanos += amount_nanos
        terms = self.books.terms.at(commission.campaign_id, self.event.receive_time_us)
        if terms is not None:
            for spending in self.books.spending(terms, self.event.receive_time_us):
                spending.accrued_added_nanos += amount_nanos

    def _cause(self, token_id: str) -> str:
        if self.event.event_type is EventType.CLICK:
            # One late click can move several orders, and away from another click.
            return f"{self.event.cause_id}@{token_id}/{self.order.order_id}"
        return self.event.cause_id

    def _post(self, kind: str, postings: tuple[Posting, ...], *, corrects: bool = False) -> None:
        order, commission = self.order, self.order.commission
        self.effects.entries.append(
            Entry(
                kind=kind,
                cause_type="event",
                cause_id=self._cause(commission.token_id),
                advertiser_id=order.advertiser_id,
                campaign_id=commission.campaign_id,
                currency=order.currency,
                entry_time_us=self.event.receive_time_us,
                decision_id=commission.decision_id,
                postings=postings,
                corrects_cause_id=commission.estimate_cause if corrects else "",
                order_id=order.order_id,
                position=self.event.position,
                pricing_model="cps",
            )
        )


def _promoter(commission: CommissionState, share_nanos: int) -> Payee:
    return Payee(promoter_account(commission.promoter_id) if commission.promoter_id else "", share_nanos)
