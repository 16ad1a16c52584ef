"""Charges of booked days: each is taken at once when it begins, whole or not at all."""

from dataclasses import dataclass, field

from bihuan_attribution.domain.booking import BookingDay, DayState
from bihuan_attribution.domain.books import Books, Effects
from bihuan_attribution.domain.charging import CHARGE
from bihuan_attribution.domain.ledger import NOBODY, Entry, Payee, charge_postings, publisher_account
from bihuan_attribution.domain.report import ReportKey, hour_of
from bihuan_attribution.domain.terms import UNLIMITED_NANOS
from bihuan_shared.money import mul_ppm_nanos

CAUSE = "booking"
_MODEL = "cpd"


@dataclass(frozen=True, slots=True)
class ChargedDay:
    """A day that was charged: what, who gets a share of it."""

    day: BookingDay
    amount_nanos: int
    payee: Payee


@dataclass(slots=True)
class DayTill:
    """
    Takes money for days of one batch, in the order in which they are handed over.

    `highest_nanos` is the largest balance of any account by currency, without its sign: nothing is charged that an
    account could not hold.
    """

    books: Books
    highest_nanos: dict[str, int]
    effects: Effects = field(default_factory=Effects)
    charged: list[ChargedDay] = field(default_factory=list)

    def charge(self, day: BookingDay) -> DayState:
        """
        Charge a day as far as the campaign's budgets and the account have room for all of it.

        A campaign that was stopped pays all the same: with the end of the bids the day is sold.
        """
        amount_nanos = day.day_rate_micros * 1000
        if not self._has_room(day, amount_nanos):
            return DayState.UNFUNDED
        terms = self.books.terms.at(day.campaign_id, day.start_time_us)
        assert terms is not None
        for spending in self.books.spending(terms, day.start_time_us):
            spending.charged_added_nanos += amount_nanos
        self.highest_nanos[day.currency] = self.highest_nanos.get(day.currency, 0) + amount_nanos
        payee = self._publisher(day, amount_nanos)
        postings = charge_postings(self.books.purse(day.advertiser_id, day.currency), amount_nanos, payee)
        self.effects.row(self._key(day)).spend_nanos += amount_nanos
        self.effects.entries.append(
            Entry(
                kind=CHARGE,
                cause_type=CAUSE,
                cause_id=day.cause_id,
                advertiser_id=day.advertiser_id,
                campaign_id=day.campaign_id,
                currency=day.currency,
                entry_time_us=day.start_time_us,
                decision_id="",
                postings=postings,
                pricing_model=_MODEL,
            )
        )
        self.charged.append(ChargedDay(day, amount_nanos, payee))
        return DayState.CHARGED

    def _has_room(self, day: BookingDay, amount_nanos: int) -> bool:
        terms = self.books.terms.at(day.campaign_id, day.start_time_us)
        if terms is None or amount_nanos > UNLIMITED_NANOS - self.highest_nanos.get(day.currency, 0):
            return False
        total, daily = self.books.spending(terms, day.start_time_us)
        return (
            total.has_room(amount_nanos, terms.total_limit_nanos)
            and daily.has_room(amount_nanos, terms.daily_limit_nanos)
            and self.books.purse(day.advertiser_id, day.currency).has_room(amount_nanos)
        )

    def _publisher(self, day: BookingDay, amount_nanos: int) -> Payee:
        placement = self.books.placements.at(day.placement_id, day.start_time_us)
        if placement is None or not placement.publisher_id:
            return NOBODY
        share_nanos = mul_ppm_nanos(amount_nanos, placement.revenue_share_ppm)
        return Payee(publisher_account(placement.publisher_id), share_nanos)

    def _key(self, day: BookingDay) -> ReportKey:
        source = self.books.placements.traffic_source(day.placement_id, day.start_time_us)
        return ReportKey(
            advertiser_id=day.advertiser_id,
            campaign_id=day.campaign_id,
            ad_group_id="",
            creative_id="",
            audience_id="",
            placement_id=day.placement_id,
            traffic_source=source,
            promoter_id="",
            pricing_model=_MODEL,
            currency=day.currency,
            hour_us=hour_of(day.start_time_us),
        )
