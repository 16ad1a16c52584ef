"""
Billing: what one event of the log does to touches, orders, the ledger, budgets and figures.

A batch starts from what the store knows, is folded event by event in log order, and leaves in `Effects` what has to be
written. Nothing here reads a clock: the same log gives the same books.
"""

from collections.abc import Iterable, Sequence

from bihuan_attribution.domain.books import Books, Effects, Unbilled, ad_key
from bihuan_attribution.domain.commission import settle
from bihuan_attribution.domain.event import DAY_US, AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.ledger import Entry, charge_postings
from bihuan_attribution.domain.order import OrderState, new_order
from bihuan_attribution.domain.report import Figures
from bihuan_attribution.domain.terms import TermsBook
from bihuan_attribution.domain.touch import Touch, touch_of

PENDING_US = 7 * DAY_US
_Join = tuple[str, str | int]


class Billing:
    """Folds one batch; `effects` and the spendings of `books` are complete after the last event."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.effects = Effects()
        self._clicks: dict[_Join, list[Touch]] = {}
        self._orders: dict[_Join, list[OrderState]] = {}
        for touch in books.clicks:
            self._index_click(touch)
        for order in books.orders.values():
            self._index_order(order)

    def take(self, events: Iterable[LoggedEvent]) -> None:
        """Fold events, in log order."""
        for event in events:
            if event.ad is not None:
                self._take_ad(event, event.ad)
            elif event.order is not None:
                self._take_order(event)

    def _take_ad(self, event: LoggedEvent, ad: AdFacts) -> None:
        if event.event_type is EventType.IMPRESSION:
            self._take_impression(event, ad)
            return
        impression_us = self.books.impressions.get(ad.token_id)
        if impression_us is not None and in_time(event, impression_us):
            self._count(event, ad)
            return
        if impression_us is None:
            self.books.pending.setdefault(ad.token_id, []).append(event)
        self.effects.now_pending.append(event)

    def _take_impression(self, event: LoggedEvent, ad: AdFacts) -> None:
        self.books.impressions[ad.token_id] = event.receive_time_us
        self._count(event, ad)
        for waiting in self.books.pending.pop(ad.token_id, ()):
            if waiting.ad is not None and in_time(waiting, event.receive_time_us):
                self.effects.released.append(waiting.position)
                self._count(waiting, waiting.ad)

    def _count(self, event: LoggedEvent, ad: AdFacts) -> None:
        touch = touch_of(event, ad)
        self.effects.touches.append(touch)
        figures = self.effects.row(ad_key(ad, event.receive_time_us))
        _count_one(figures, event.event_type)
        price_nanos = billable_nanos(event.event_type, ad, self.books.terms)
        if price_nanos:
            self._charge(event, ad, price_nanos, figures)
        if event.event_type is EventType.CLICK:
            self._index_click(touch)
            self._move_orders(touch, event)

    def _charge(self, event: LoggedEvent, ad: AdFacts, price_nanos: int, figures: Figures) -> None:
        terms = self.books.terms.at(ad.campaign_id, event.receive_time_us)
        if terms is None or terms.currency != ad.currency:
            reason = "no_terms" if terms is None else "currency_mismatch"
            self.effects.unbilled.append(Unbilled(event.position, reason, ad.currency, price_nanos))
            return
        total, daily = self.books.spending(terms, event.receive_time_us)
        if not (
            total.has_room(price_nanos, terms.total_limit_nanos)
            and daily.has_room(price_nanos, terms.daily_limit_nanos)
        ):
            self.effects.unbilled.append(Unbilled(event.position, "over_budget", ad.currency, price_nanos))
            figures.overrun_nanos += price_nanos
            return
        total.charged_added_nanos += price_nanos
        daily.charged_added_nanos += price_nanos
        figures.spend_nanos += price_nanos
        self.effects.entries.append(
            Entry(
                kind="charge",
                cause_type="event",
                cause_id=event.cause_id,
                advertiser_id=ad.advertiser_id,
                campaign_id=ad.campaign_id,
                currency=ad.currency,
                entry_time_us=event.receive_time_us,
                decision_id=ad.decision_id,
                postings=charge_postings(self.books.purse(ad.advertiser_id, ad.currency), price_nanos),
            )
        )

    def _move_orders(self, touch: Touch, event: LoggedEvent) -> None:
        """A click can be the last one of orders that came before it."""
        found = list(self._orders.get(("click", touch.ad.token_id), ()))
        if touch.person_id:
            found += self._orders.get(("person", touch.person_id), ())
        for order in {one.key: one for one in found}.values():
            settle(order, [touch], self._click, event, self.books, self.effects)

    def _click(self, token_id: str) -> Touch | None:
        return next(iter(self._clicks.get(("click", token_id), ())), None) if token_id else None

    def _clicks_of(self, order: OrderState) -> list[Touch]:
        found = list(self._clicks.get(("click", order.click_id), ())) if order.click_id else []
        if order.person_id:
            found += self._clicks.get(("person", order.person_id), ())
        return found

    def _index_click(self, touch: Touch) -> None:
        self._clicks.setdefault(("click", touch.ad.token_id), []).append(touch)
        if touch.person_id:
            self._clicks.setdefault(("person", touch.person_id), []).append(touch)

    def _index_order(self, order: OrderState) -> None:
        if order.click_id:
            self._orders.setdefault(("click", order.click_id), []).append(order)
        if order.person_id:
            self._orders.setdefault(("person", order.person_id), []).append(order)

    def _take_order(self, event: LoggedEvent) -> None:
        report = event.order
        assert report is not None
        key = (report.advertiser_id, report.order_id)
        order = self.books.orders.get(key)
        if order is None and event.event_type is not EventType.ORDER:
            self.books.parked.setdefault(key, []).append(event)
            self.effects.now_parked.append((key, event.position))
            return
        if order is None:
            order = self.books.orders[key] = new_order(event, report)
            self._index_order(order)
            self._apply(order, event, self._clicks_of(order))
        else:
            self._apply(order, event)
        waiting = self.books.parked.pop(key, None)
        if waiting:
            self.effects.unparked.append(key)
            for parked in waiting:
                self._apply(order, parked)

    def _apply(self, order: OrderState, event: LoggedEvent, met: Sequence[Touch] = ()) -> None:
        assert event.order is not None
        fault = order.apply(event.event_type, event.order)
        if fault:
            self.effects.unbilled.append(Unbilled(event.position, fault, order.currency, 0))
        settle(order, met, self._click, event, self.books, self.effects)


def in_time(event: LoggedEvent, impression_us: int) -> bool:
    """Whether an impression came in time for what waited for it; the rule knows no sequence of arrival."""
    return impression_us - event.receive_time_us <= PENDING_US


def billable_nanos(event_type: EventType, ad: AdFacts, terms: TermsBook) -> int:
    """What an event costs by its token: micros per thousand are nanos each. 0 where it is not what is paid for."""
    if ad.pricing_model == "cpc":
        return ad.price_micros * 1000 if event_type is EventType.CLICK else 0
    if ad.pricing_model != "cpm":
        return 0
    sold = terms.sold_under(ad.campaign_id, ad.terms_version)
    trigger = EventType.VIEWABLE if sold is not None and sold.bills_viewable else EventType.IMPRESSION
    return ad.price_micros if event_type is trigger else 0


def _count_one(figures: Figures, event_type: EventType) -> None:
    if event_type is EventType.IMPRESSION:
        figures.impressions += 1
    elif event_type is EventType.CLICK:
        figures.clicks += 1
    elif event_type is EventType.VIEWABLE:
        figures.viewables += 1
    else:
        figures.landings += 1
