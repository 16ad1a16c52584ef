"""
What follows touches, as it stands after what was reported of it, in whatever sequence that came.

Orders have a life of their own. Engagements and leads are joined to touches in the same way; they have no items, and
stand under ids that begin with `ACTION_MARK`.
"""

from dataclasses import dataclass, field

from bihuan_attribution.domain.event import ActionReport, EventType, LoggedEvent, OrderReport, OrderStatus
from bihuan_attribution.domain.intake import ACTION_MARK
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.domain.touch import Buyer
from bihuan_shared.money import mul_ppm_nanos

OrderKey = tuple[str, str]
"""Advertiser and order id."""


@dataclass(slots=True)
class ItemState:
    """
    What was paid for an item over all lines of the order, and what of it came back (never more).

    `rate_ppm` is the commission rate that the order bears for it; `tags` are those of its first line.
    """

    item_id: str
    quantity: int
    paid_micros: int
    refunded_micros: int = 0
    rate_ppm: int = 0
    shop_id: str = ""
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class CommissionState:
    """
    What the ledger holds for an order: gross estimate, reversals, what was made payable, and for whose click.

    `rate_ppm` is the rate of what has none of its own.
    """

    campaign_id: str = ""
    creative_id: str = ""
    placement_id: str = ""
    token_id: str = ""
    decision_id: str = ""
    rate_ppm: int = 0
    promoter_share_ppm: int = 0
    gross_nanos: int = 0
    reversed_nanos: int = 0
    payable: bool = False
    promoter_nanos: int = 0
    estimate_cause: str = ""
    promoter_id: str = ""
    sub_id: str = ""
    ad_group_id: str = ""
    audience_id: str = ""
    traffic_source: str = ""

    @property
    def net_nanos(self) -> int:
        """What is left of the estimate."""
        return self.gross_nanos - self.reversed_nanos


@dataclass(frozen=True, slots=True)
class ReportCredit:
    """What the report holds for an order or an action: the row it counts in, and how much."""

    campaign_id: str
    creative_id: str
    placement_id: str
    pricing_model: str
    ad_group_id: str
    audience_id: str
    promoter_id: str
    traffic_source: str
    relation: str
    orders: int
    value_micros: int


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of an order at a time."""

    credited_campaign_id: str = ""
    order_value_micros: int = 0
    billed_campaign_id: str = ""
    commission_nanos: int = 0


@dataclass(slots=True)
class OrderState:
    """
    One order or action; `outcome` is ORDER, ENGAGEMENT or LEAD. Stages are flags that only go up: cancelled wins over
    everything, so the sequence of arrival does not matter.

    `last_click_id` and `last_cps_click_id` are the tokens of the latest clicks that it met, of any pricing model and of
    CPS. An order meets the clicks of its person when it is opened, and later ones when they are counted; what it has
    met stays, whatever becomes of the person.
    """

    advertiser_id: str
    order_id: str
    currency: str
    order_time_us: int
    channel: int
    person_id: int
    click_id: str
    position: int
    paid: bool = False
    completed: bool = False
    cancelled: bool = False
    last_click_id: str = ""
    last_cps_click_id: str = ""
    items: dict[str, ItemState] = field(default_factory=dict)
    commission: CommissionState = field(default_factory=CommissionState)
    credit: ReportCredit | None = None
    outcome: EventType = EventType.ORDER

    @property
    def believed(self) -> Belief:
        """What is believed of it now."""
        commission = self.commission
        return Belief(
            self.credit.campaign_id if self.credit is not None else "",
            self.value_micros,
            commission.campaign_id if commission.gross_nanos else "",
            commission.net_nanos,
        )

    @property
    def key(self) -> OrderKey:
        """Unique among orders."""
        return (self.advertiser_id, self.order_id)

    @property
    def buyer(self) -> Buyer:
        """What joins it to touches."""
        return Buyer(self.advertiser_id, self.order_time_us, self.person_id, self.click_id)

    @property
    def value_micros(self) -> int:
        """What was paid less what came back; nothing before it is paid or after it is cancelled."""
        if not self.paid or self.cancelled:
            return 0
        return sum(item.paid_micros - item.refunded_micros for item in self.items.values())

    def apply(self, event_type: EventType, report: OrderReport) -> str:
        """Take in a report of this order; the answer is what had to be left out, or empty."""
        if report.currency != self.currency:
            return "currency_mismatch"
        if event_type is EventType.REFUND:
            return self._refund(report)
        self.paid |= report.status in (OrderStatus.PAID, OrderStatus.COMPLETED)
        self.completed |= report.status is OrderStatus.COMPLETED
        self.cancelled |= report.status is OrderStatus.CANCELLED
        return ""

    def _refund(self, report: OrderReport) -> str:
        fault = ""
        for line in report.lines:
            item = self.items.get(line.item_id)
            if item is None:
                fault = "refund_unknown_item"
                continue
            room = item.paid_micros - item.refunded_micros
            if line.paid_micros > room:
                fault = "refund_above_paid"
            item.refunded_micros += min(line.paid_micros, room)
        return fault

    def rate(self, terms: CampaignTerms) -> None:
        """Let items bear the commission rates of a campaign."""
        for item in self.items.values():
            item.rate_ppm = terms.rate_of(item.item_id, item.tags)

    def gross_nanos(self) -> int:
        """The commission on everything that was paid, rounded by item."""
        return sum(commission_nanos(item.paid_micros, item.rate_ppm) for item in self.items.values())

    def kept_nanos(self) -> int:
        """The commission on what was not paid back."""
        if self.cancelled:
            return 0
        items = self.items.values()
        return sum(commission_nanos(item.paid_micros - item.refunded_micros, item.rate_ppm) for item in items)


def commission_nanos(paid_micros: int, rate_ppm: int) -> int:
    """The commission on an amount, half-even to the nano."""
    return mul_ppm_nanos(paid_micros * 1000, rate_ppm)


def new_order(event: LoggedEvent, report: OrderReport) -> OrderState:
    """The order that an ORDER event opens; lines of one item are taken together."""
    items: dict[str, ItemState] = {}
    for line in report.lines:
        item = items.setdefault(line.item_id, ItemState(line.item_id, 0, 0, shop_id=line.shop_id, tags=line.tags))
        item.quantity += line.quantity
        item.paid_micros += line.paid_micros
    return OrderState(
        advertiser_id=report.advertiser_id,
        order_id=report.order_id,
        currency=report.currency,
        order_time_us=report.order_time_us,
        channel=report.channel,
        person_id=event.person_id,
        click_id=report.click_id,
        position=event.position,
        items=items,
    )


def new_action(event: LoggedEvent, action: ActionReport) -> OrderState:
    """What an ENGAGEMENT or LEAD event is, to be joined to touches."""
    return OrderState(
        advertiser_id=action.advertiser_id,
        order_id=f"{ACTION_MARK}{event.cause_id}",
        currency="",
        order_time_us=action.action_time_us,
        channel=0,
        person_id=event.person_id,
        click_id=action.click_id,
        position=event.position,
        paid=True,
        outcome=event.event_type,
    )


def relation_of(order: OrderState, terms: CampaignTerms) -> str:
    """How far an order is from what a campaign advertises: `direct`, `same_shop` or `cross_shop`; empty for actions."""
    if order.outcome is not EventType.ORDER:
        return ""
    if any(item_id in order.items for item_id in terms.item_ids):
        return "direct"
    if terms.shop_id and any(item.shop_id == terms.shop_id for item in order.items.values()):
        return "same_shop"
    return "cross_shop"
