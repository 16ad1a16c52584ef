"""What a batch of billing starts from, and what it leaves to be written."""

from dataclasses import dataclass, field

from bihuan_attribution.domain.accounts import PlacementBook
from bihuan_attribution.domain.budget_day import budget_day
from bihuan_attribution.domain.event import AdFacts, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import Impression
from bihuan_attribution.domain.ledger import Entry, Posting, Purse
from bihuan_attribution.domain.order import Belief, OrderKey, OrderState
from bihuan_attribution.domain.report import Figures, ReportKey, hour_of
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook
from bihuan_attribution.domain.touch import Touch

SpendingKey = tuple[str, str]
"""Campaign and budget day; the day is empty for the campaign's whole life."""
SpanKey = tuple[str, str]
"""Rule and name of a span of clicks."""
Rank = tuple[int, str]
"""Time of receipt and token of a click; lower ones come first."""


@dataclass(slots=True)
class Spending:
    """
    What a campaign was charged in a day, or ever.

    `limit_nanos` is the highest limit that this batch met, `charged_added_nanos` and `accrued_added_nanos` are what it
    adds; estimated commissions accrue and are not bound by the limit.
    """

    charged_nanos: int = 0
    limit_nanos: int = 0
    charged_added_nanos: int = 0
    accrued_added_nanos: int = 0

    def has_room(self, amount_nanos: int, limit_nanos: int) -> bool:
        """Whether an amount still fits."""
        return self.charged_nanos + self.charged_added_nanos + amount_nanos <= limit_nanos


@dataclass(frozen=True, slots=True)
class Unbilled:
    """An event that was left out of the books, wholly or in part, with what it would have cost."""

    position: int
    reason: str
    currency: str
    amount_nanos: int


@dataclass(slots=True)
class Books:
    """
    What the store knows about everything that a batch touches.

    `ranks` are the first clicks of spans, ascending. `rivals` are the clicks that an earlier one of the batch may put
    out of a span, by token, and `charged` the entries that charged them, by cause.
    """

    terms: TermsBook
    placements: PlacementBook = field(default_factory=PlacementBook)
    impressions: dict[str, Impression] = field(default_factory=dict)
    ranks: dict[SpanKey, list[Rank]] = field(default_factory=dict)
    rivals: dict[str, Touch] = field(default_factory=dict)
    charged: dict[str, tuple[Posting, ...]] = field(default_factory=dict)
    pending: dict[str, list[LoggedEvent]] = field(default_factory=dict)
    orders: dict[OrderKey, OrderState] = field(default_factory=dict)
    parked: dict[OrderKey, list[LoggedEvent]] = field(default_factory=dict)
    clicks: list[Touch] = field(default_factory=list)
    purses: dict[tuple[str, str], Purse] = field(default_factory=dict)
    spendings: dict[SpendingKey, Spending] = field(default_factory=dict)

    def purse(self, advertiser_id: str, currency: str) -> Purse:
        """The accounts of an advertiser; empty ones where it never had any."""
        key = (advertiser_id, currency)
        if key not in self.purses:
            self.purses[key] = Purse(advertiser_id, 0, 0)
        return self.purses[key]

    def spending(self, terms: CampaignTerms, at_us: int) -> tuple[Spending, Spending]:
        """The campaign's whole spending and that of the budget day of `at_us`."""
        day = budget_day(at_us, terms.time_zone)
        total = self.spendings.setdefault((terms.campaign_id, ""), Spending())
        daily = self.spendings.setdefault((terms.campaign_id, day), Spending())
        total.limit_nanos = max(total.limit_nanos, terms.total_limit_nanos)
        daily.limit_nanos = max(daily.limit_nanos, terms.daily_limit_nanos)
        return total, daily


@dataclass(slots=True)
class Effects:
    """
    What a batch has to write, beside the spendings of its `Books`.

    `ranked` holds spans of clicks as they are now, `excess` why a click that was counted before is free now, by
    position.
    """

    touches: list[Touch] = field(default_factory=list)
    now_pending: list[LoggedEvent] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    now_parked: list[tuple[OrderKey, int]] = field(default_factory=list)
    unparked: list[OrderKey] = field(default_factory=list)
    orders: dict[OrderKey, OrderState] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    unbilled: list[Unbilled] = field(default_factory=list)
    figures: dict[ReportKey, Figures] = field(default_factory=dict)
    ranked: dict[SpanKey, list[Rank]] = field(default_factory=dict)
    excess: dict[int, str] = field(default_factory=dict)
    changed_at: dict[OrderKey, int] = field(default_factory=dict)

    def touch_order(self, order: OrderState, position: int) -> None:
        """Note that an event may have changed an order."""
        self.orders[order.key] = order
        self.changed_at[order.key] = position

    def beliefs(self, before: dict[OrderKey, Belief]) -> list[tuple[OrderKey, int, Belief]]:
        """What is believed otherwise than before of which order, and since which event."""
        return [
            (key, self.changed_at[key], order.believed)
            for key, order in self.orders.items()
            if order.believed != before.get(key, Belief())
        ]

    def row(self, key: ReportKey) -> Figures:
        """The figures that a report row gets added."""
        held = self.figures.get(key)
        if held is None:
            held = self.figures[key] = Figures()
        return held


def ad_key(ad: AdFacts, at_us: int, placements: PlacementBook) -> ReportKey:
    """The report row of an advertisement at an instant."""
    return ReportKey(
        ad.advertiser_id,
        ad.campaign_id,
        ad.ad_group_id,
        ad.creative_id,
        ad.audience_id,
        ad.placement_id,
        placements.traffic_source(ad.placement_id, at_us),
        ad.promoter_id,
        ad.pricing_model,
        ad.currency,
        hour_of(at_us),
    )
