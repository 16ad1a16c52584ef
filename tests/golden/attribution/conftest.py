"""Reads the table of billing cases and runs one of them through billing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bihuan_attribution.domain.billing import Billing
from bihuan_attribution.domain.books import Books
from bihuan_attribution.domain.event import (
    DAY_US,
    HOUR_US,
    AdFacts,
    EventType,
    LoggedEvent,
    OrderLine,
    OrderReport,
    OrderStatus,
)
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook

START_US = 1_700_000_000_000_000
UNITS = {"h": HOUR_US, "d": DAY_US, "u": 1}
TYPES = {
    "imp": EventType.IMPRESSION,
    "view": EventType.VIEWABLE,
    "click": EventType.CLICK,
    "land": EventType.LANDING,
    "order": EventType.ORDER,
    "update": EventType.ORDER_UPDATE,
    "refund": EventType.REFUND,
}
BASE = CampaignTerms(
    campaign_id="M",
    advertiser_id="acme",
    version=1,
    effective_time_us=0,
    currency="CNY",
    time_zone="Asia/Shanghai",
    pricing_model="cpm",
    bid_micros=0,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=15 * DAY_US,
    view_window_us=DAY_US,
    caps=(),
    stopped=False,
)
TERMS = {
    "M": BASE,
    "V": replace(BASE, campaign_id="V", bills_viewable=True),
    "C": replace(BASE, campaign_id="C", pricing_model="cpc"),
    "S": replace(BASE, campaign_id="S", pricing_model="cps", commission_rate_ppm=100_000, promoter_share_ppm=500_000),
    "T": replace(BASE, campaign_id="T", pricing_model="cps", commission_rate_ppm=200_000, click_window_us=DAY_US),
    "R": replace(BASE, campaign_id="R", pricing_model="cps", commission_rate_ppm=500),
    "L": replace(BASE, campaign_id="L", total_micros=3_000),
    "D": replace(BASE, campaign_id="D", daily_micros=3_000),
}
PRICES = {"C": 2_000}
"""Micros a click, or a thousand impressions; 2,000,000 where nothing else is said."""


def instant(text: str) -> int:
    """`0`, `3h`, `15d`, `15d-1u`: an instant after the start."""
    at_us = START_US
    for part in text.replace("-", "+-").split("+"):
        if part and part != "0":
            at_us += int(part[:-1]) * UNITS[part[-1]]
    return at_us


def event(position: int, word: str, default_at: str) -> LoggedEvent:
    """
    One event: `imp:M1` is an impression of campaign M under token M1, person 1; `click:S2@3h` a click three hours in.

    `order:o1=100,50/paid` is an order of two items, `update:o1/done`, `refund:o1=30` gives 30 of the first item back.
    """
    head, _, at = word.partition("@")
    kind, _, rest = head.partition(":")
    at_us = instant(at or default_at)
    event_type = TYPES[kind]
    if event_type < EventType.ORDER:
        campaign = rest[0]
        ad = AdFacts(
            rest, "d", campaign, "cr", "pl", "ag", "acme", 1, TERMS[campaign].pricing_model,
            PRICES.get(campaign, 2_000_000), "CNY", "",
        )  # fmt: skip
        return LoggedEvent(position, event_type, rest, at_us, at_us, 1, ad, None)
    order_id, _, status = rest.partition("/")
    order_id, _, amounts = order_id.partition("=")
    lines = tuple(OrderLine(f"i{n}", 1, int(amount)) for n, amount in enumerate(amounts.split(",")) if amount)
    statuses = {"": 0, "placed": 1, "paid": 2, "done": 3, "cancelled": 4}
    report = OrderReport(order_id, "acme", "CNY", at_us, OrderStatus(statuses[status]), 1, "", lines)
    return LoggedEvent(position, event_type, f"e{position}", at_us, at_us, 1, None, report)


def run(script: str, batch: int) -> tuple[list[str], dict[str, int]]:
    """The entries as `kind campaign advertiser's-side`, and the final figures that are not 0."""
    words = script.split()
    books = Books(TermsBook(TERMS.values()))
    entries: list[str] = []
    figures: dict[str, int] = {}
    events = [event(n, word, "0") for n, word in enumerate(words, 1)]
    billing = Billing(books, TrafficLimits(0, 0, 0, 0))
    for start in range(0, len(events), batch):
        billing.take(events[start : start + batch])
    for entry in billing.effects.entries:
        amount = sum(one.amount_nanos for one in entry.postings if one.account.startswith("advertiser:"))
        entries.append(f"{entry.kind} {entry.campaign_id} {amount}")
    for row in billing.effects.figures.values():
        for name in ("impressions", "viewables", "clicks", "landings", "orders", "order_value_micros", "spend_nanos"):
            figures[name] = figures.get(name, 0) + getattr(row, name)
        figures["overrun_nanos"] = figures.get("overrun_nanos", 0) + row.overrun_nanos
    return entries, {name: value for name, value in figures.items() if value}


@pytest.fixture
def run_script() -> Callable[[str, int], tuple[list[str], dict[str, int]]]:
    """Runs a script of events, in batches of a size."""
    return run
