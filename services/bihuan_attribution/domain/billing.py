"""
Billing: what one event of the log does to touches, orders, the ledger, budgets and figures.

A batch starts from what the store knows, is folded event by event in log order, and leaves in `Effects` what has to be
written. Nothing here reads a clock: the same log gives the same books.
"""

from collections.abc import Iterable, Sequence

from bihuan_attribution.domain.books import Books, Effects, Unbilled, ad_key
from bihuan_attribution.domain.charging import Ranking, Till, billable_nanos
from bihuan_attribution.domain.commission import settle
from bihuan_attribution.domain.event import DAY_US, ActionReport, AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import (
    DEFAULT_LIMITS,
    Impression,
    TrafficLimits,
    general_reason,
    spans_of,
)
from bihuan_attribution.domain.order import Belief, OrderKey, OrderState, new_action, new_order
from bihuan_attribution.domain.report import Figures
from bihuan_attribution.domain.touch import Touch, touch_of

PENDING_US = 7 * DAY_US
_Join = tuple[str, str | int]


class Billing:
    """Folds one batch; `effects` and the spendings of `books` are complete after the last event."""

    def __init__(self, books: Books, limits: TrafficLimits = DEFAULT_LIMITS) -> None:
        self.books = books
        self.effects = Effects()
        self._limits = limits
        self._till = Till(books, self.effects)
        self._ranking = Ranking(books, self.effects)
        self._before = {key: order.believed for key, order in books.orders.items()}
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
            elif event.action is not None:
                self._take_action(event, event.action)

    def beliefs(self) -> list[tuple[OrderKey, int, Belief]]:
        """What the batch made be believed of orders: key, position of the event, belief."""
        return self.effects.beliefs(self._before)

    def _take_ad(self, event: LoggedEvent, ad: AdFacts) -> None:
        # A promoter's link is no advertisement that was shown: its click is where everything begins.
        if event.event_type is (EventType.CLICK if ad.promoter_id else EventType.IMPRESSION):
            self._begin(event, ad)
            return
        if event.event_type is EventType.IMPRESSION:
            self._count(event, ad, None)
            return
        impression = self.books.impressions.get(ad.token_id)
        if impression is not None and in_time(event, impression.receive_time_us):
            self._count(event, ad, impression)
            return
        if impression is None:
            self.books.pending.setdefault(ad.token_id, []).append(event)
        self.effects.now_pending.append(event)

    def _begin(self, event: LoggedEvent, ad: AdFacts) -> None:
        """Count what a token begins with, and then what waited for it."""
        impression = Impression(event.receive_time_us, general_reason(event, None, self._limits))
        self.books.impressions[ad.token_id] = impression
        self._count(event, ad, None)
        for waiting in self.books.pending.pop(ad.token_id, ()):
            if waiting.ad is not None and in_time(waiting, event.receive_time_us):
                self.effects.released.append(waiting.position)
                self._count(waiting, waiting.ad, impression)

    def _count(self, event: LoggedEvent, ad: AdFacts, impression: Impression | None) -> None:
        price_nanos = billable_nanos(event.event_type, ad, self.books.terms)
        figures = self.effects.row(ad_key(ad, event.receive_time_us, self.books.placements))
        invalid = general_reason(event, impression, self._limits)
        if invalid:
            self.effects.touches.append(touch_of(event, ad, invalid=invalid))
            self.effects.unbilled.append(Unbilled(event.position, invalid, ad.currency, price_nanos))
            figures.invalid_events += 1
            return
        excess = self._rank(event, ad) if event.event_type is EventType.CLICK else ""
        touch = touch_of(event, ad, excess=excess)
        self.effects.touches.append(touch)
        if excess:
            self.effects.unbilled.append(Unbilled(event.position, excess, ad.currency, price_nanos))
            figures.invalid_events += 1
        else:
            _count_one(figures, event)
            if price_nanos:
                self._till.charge(event, ad, price_nanos)
        if event.event_type is EventType.CLICK:
            self._index_click(touch)
            self._move_orders(touch, event)

    def _rank(self, event: LoggedEvent, ad: AdFacts) -> str:
        """Why a click is one too many; empty where it is not. Clicks that are too many because of it are made free."""
        reason = ""
        for span in spans_of(event, ad, self._limits):
            first, out = self._ranking.take(span, (event.receive_time_us, ad.token_id))
            if not first:
                reason = reason or span.rule
            if out:
                self._free(out, span.rule, event)
        return reason

    def _free(self, token_id: str, rule: str, event: LoggedEvent) -> None:
        touch = self._click(token_id) or self.books.rivals.get(token_id)
        if touch is None or touch.invalid or touch.excess or touch.position in self.effects.excess:
            return
        self.effects.excess[touch.position] = rule
        price_nanos = billable_nanos(touch.event_type, touch.ad, self.books.terms)
        self.effects.unbilled.append(Unbilled(touch.position, rule, touch.ad.currency, price_nanos))
        figures = self.effects.row(ad_key(touch.ad, touch.bill_time_us, self.books.placements))
        figures.clicks -= 1
        figures.invalid_events += 1
        self._till.give_back(touch, f"{EventType.CLICK.word}/{token_id}", event)

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
        # One that was found out late stays with the orders that met it, and meets no other.
        return [touch for touch in found if not touch.invalid]

    def _index_click(self, touch: Touch) -> None:
        self._clicks.setdefault(("click", touch.ad.token_id), []).append(touch)
        if touch.person_id:
            self._clicks.setdefault(("person", touch.person_id), []).append(touch)

    def _index_order(self, order: OrderState) -> None:
        if order.click_id:
            self._orders.setdefault(("click", order.click_id), []).append(order)
        if order.person_id:
            self._orders.setdefault(("person", order.person_id), []).append(order)

    def _take_action(self, event: LoggedEvent, action: ActionReport) -> None:
        order = new_action(event, action)
        self.books.orders[order.key] = order
        self._index_order(order)
        settle(order, self._clicks_of(order), self._click, event, self.books, self.effects)

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


def _count_one(figures: Figures, event: LoggedEvent) -> None:
    if event.event_type is EventType.IMPRESSION:
        figures.impressions += 1
        figures.person_impressions += event.person_id > 0
    elif event.event_type is EventType.CLICK:
        figures.clicks += 1
    elif event.event_type is EventType.VIEWABLE:
        figures.viewables += 1
    else:
        figures.landings += 1
