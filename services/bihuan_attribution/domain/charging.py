"""Charges of impressions and clicks, and what gives them back."""

from dataclasses import dataclass

from bihuan_attribution.domain.books import Books, Effects, Unbilled, ad_key
from bihuan_attribution.domain.event import AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import Span
from bihuan_attribution.domain.ledger import (
    NOBODY,
    Entry,
    Payee,
    Posting,
    charge_postings,
    charge_reversal_postings,
    publisher_account,
)
from bihuan_attribution.domain.report import Figures
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook
from bihuan_attribution.domain.touch import Touch
from bihuan_shared.money import mul_ppm_nanos

CHARGE = "charge"
IVT_CREDIT = "ivt_credit"


def billable_nanos(event_type: EventType, ad: AdFacts, terms: TermsBook) -> int:
    """What an event costs by its token: micros per thousand are nanos each. 0 where it is not what is paid for."""
    if ad.pricing_model == "cpc":
        return ad.price_micros * 1000 if event_type is EventType.CLICK else 0
    if ad.pricing_model != "cpm":
        return 0
    sold = terms.sold_under(ad.campaign_id, ad.terms_version)
    trigger = EventType.VIEWABLE if sold is not None and sold.bills_viewable else EventType.IMPRESSION
    return ad.price_micros if event_type is trigger else 0


@dataclass(frozen=True, slots=True)
class Occasion:
    """What makes a charge be given back where it is no event: it has an instant, and no position in the log."""

    receive_time_us: int
    position: int = 0


class Till:
    """Takes money for events of one batch, and gives it back."""

    def __init__(self, books: Books, effects: Effects) -> None:
        self._books = books
        self._effects = effects

    def charge(self, event: LoggedEvent, ad: AdFacts, price_nanos: int) -> None:
        """Charge an event as far as budgets, balance and credit line have room; what has none is free and reported."""
        terms = self._books.terms.at(ad.campaign_id, event.receive_time_us)
        refused = self._refusal(event, ad, terms, price_nanos)
        if terms is None or refused:
            self._effects.unbilled.append(Unbilled(event.position, refused, ad.currency, price_nanos))
            if refused.startswith("over_"):
                self._row(ad, event.receive_time_us).overrun_nanos += price_nanos
            return
        for spending in self._books.spending(terms, event.receive_time_us):
            spending.charged_added_nanos += price_nanos
        self._row(ad, event.receive_time_us).spend_nanos += price_nanos
        purse = self._books.purse(ad.advertiser_id, ad.currency)
        postings = charge_postings(purse, price_nanos, self._publisher(ad, event.receive_time_us, price_nanos))
        self._books.charged[event.cause_id] = postings
        self._post(CHARGE, ad, event.cause_id, event, postings)

    def _refusal(self, event: LoggedEvent, ad: AdFacts, terms: CampaignTerms | None, price_nanos: int) -> str:
        if terms is None:
            return "no_terms"
        if terms.currency != ad.currency:
            return "currency_mismatch"
        total, daily = self._books.spending(terms, event.receive_time_us)
        fits = total.has_room(price_nanos, terms.total_limit_nanos) and daily.has_room(
            price_nanos, terms.daily_limit_nanos
        )
        if not fits:
            return "over_budget"
        return "" if self._books.purse(ad.advertiser_id, ad.currency).has_room(price_nanos) else "over_balance"

    def _publisher(self, ad: AdFacts, at_us: int, price_nanos: int) -> Payee:
        placement = self._books.placements.at(ad.placement_id, at_us)
        if placement is None or not placement.publisher_id:
            return NOBODY
        share_nanos = mul_ppm_nanos(price_nanos, placement.revenue_share_ppm)
        return Payee(publisher_account(placement.publisher_id), share_nanos)

    def give_back(self, touch: Touch, cause_id: str, event: LoggedEvent | Occasion) -> None:
        """Give back what a touch was charged, if it was; `event` is what made it free."""
        charged = self._books.charged.pop(cause_id, None)
        if charged is None:
            return
        ad = touch.ad
        amount_nanos = sum(one.amount_nanos for one in charged if one.account.startswith("advertiser:"))
        terms = self._books.terms.at(ad.campaign_id, touch.bill_time_us)
        if terms is not None:
            for spending in self._books.spending(terms, touch.bill_time_us):
                spending.charged_added_nanos -= amount_nanos
        self._row(ad, touch.bill_time_us).spend_nanos -= amount_nanos
        purse = self._books.purse(ad.advertiser_id, ad.currency)
        self._post(IVT_CREDIT, ad, cause_id, event, charge_reversal_postings(purse, charged))

    def _post(
        self, kind: str, ad: AdFacts, cause_id: str, event: LoggedEvent | Occasion, postings: tuple[Posting, ...]
    ) -> None:
        self._effects.entries.append(
            Entry(
                kind=kind,
                cause_type="event",
                cause_id=cause_id,
                advertiser_id=ad.advertiser_id,
                campaign_id=ad.campaign_id,
                currency=ad.currency,
                entry_time_us=event.receive_time_us,
                decision_id=ad.decision_id,
                postings=postings,
                corrects_cause_id=cause_id if kind == IVT_CREDIT else "",
                corrects_kind=CHARGE,
                position=event.position,
                pricing_model=ad.pricing_model,
            )
        )

    def _row(self, ad: AdFacts, at_us: int) -> Figures:
        return self._effects.row(ad_key(ad, at_us, self._books.placements))


class Ranking:
    """Which clicks of a span are its first ones, whatever the sequence they come in."""

    def __init__(self, books: Books, effects: Effects) -> None:
        self._books = books
        self._effects = effects

    def take(self, span: Span, rank: tuple[int, str]) -> tuple[bool, str]:
        """
        Put a click into a span.

        Answers whether it is among the first ones, and the token of the click that is not any more because of it.
        """
        held = self._books.ranks.setdefault(span.key, [])
        if rank in held:
            return True, ""
        if len(held) >= span.limit and rank > held[-1]:
            return False, ""
        held.append(rank)
        held.sort()
        self._effects.ranked[span.key] = held
        out = held.pop()[1] if len(held) > span.limit else ""
        return True, out
