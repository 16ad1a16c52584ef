"""
The table of ledger cases: what is posted to which account, and why the rest was not.

Everything is advertiser acme's, under the default limits of traffic. Campaigns: C pays 2,000,000 nanos a click and M as
much an impression, on a page of our own; N is C on a page of the publisher pub, who gets 70 %, O is M there at 3 nanos;
K pays a commission of 10 %, of item i1 20 %, of category tea 5 %, and half of it to the promoter; B is C with a total
budget of 3,000,000. A script is read as in the billing cases; a word may end in `#2` (the person; 1 where nothing is
said, 0 is nobody), `&9` (the address), `!bot`, `!prefetch` or `!centre`. `link:K1` is a click on a link of the promoter
pia. `$ prepaid=… credit=…` is what the account holds and may owe.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bihuan_attribution.domain.accounts import PlacementBook, PlacementTerms
from bihuan_attribution.domain.billing import Billing
from bihuan_attribution.domain.books import Books
from bihuan_attribution.domain.event import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    SECOND_US,
    ActionReport,
    AdFacts,
    EventType,
    LoggedEvent,
    OrderLine,
    OrderReport,
    OrderStatus,
    Signals,
)
from bihuan_attribution.domain.ledger import UNLIMITED_NANOS, Purse
from bihuan_attribution.domain.terms import CampaignTerms, CommissionRate, TermsBook

TABLE = Path(__file__).with_name("ledger_cases.txt")
START_US = 1_699_999_200_000_000
UNITS = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "u": 1}
TYPES = {
    "imp": EventType.IMPRESSION,
    "view": EventType.VIEWABLE,
    "click": EventType.CLICK,
    "link": EventType.CLICK,
    "land": EventType.LANDING,
    "engage": EventType.ENGAGEMENT,
    "lead": EventType.LEAD,
    "order": EventType.ORDER,
    "update": EventType.ORDER_UPDATE,
    "refund": EventType.REFUND,
}
STATUSES = {"": 0, "placed": 1, "paid": 2, "done": 3, "cancelled": 4}
BASE = CampaignTerms(
    campaign_id="C",
    advertiser_id="acme",
    version=1,
    effective_time_us=0,
    currency="CNY",
    time_zone="Asia/Shanghai",
    pricing_model="cpc",
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
RATES = (CommissionRate("i1", "", 200_000), CommissionRate("", "tea", 50_000))
TERMS = {
    "C": BASE,
    "N": replace(BASE, campaign_id="N"),
    "M": replace(BASE, campaign_id="M", pricing_model="cpm"),
    "O": replace(BASE, campaign_id="O", pricing_model="cpm"),
    "B": replace(BASE, campaign_id="B", total_micros=3_000),
    "K": replace(
        BASE, campaign_id="K", pricing_model="cps", commission_rate_ppm=100_000, promoter_share_ppm=500_000,
        commission_rates=RATES, shop_id="shop", item_ids=("i0",),
    ),
}  # fmt: skip
PRICES = {"M": 2_000_000, "O": 3}
PLACES = {"N": "net", "O": "net"}
PLACEMENTS = (PlacementTerms("net", 1, 0, "pub", 700_000, "search"), PlacementTerms("own", 1, 0, "", 0, "portal"))
WORD = re.compile(r"(\w+):([^@#&!]*)(?:@([\w+-]+))?(?:#(\d+))?(?:&(\d+))?(?:!(\w+))?")


@dataclass
class Case:
    """One block of the table."""

    name: str
    script: str = ""
    account: str = ""
    entries: list[str] = field(default_factory=list)
    figures: str = ""
    unbilled: str = ""


def cases() -> list[Case]:
    found = []
    for block in TABLE.read_text().split("\n\n"):
        name, *lines = [line for line in block.splitlines() if line and not line.startswith("#")] or [""]
        case = Case(name)
        for line in lines:
            sign, rest = line[0], line[2:]
            if sign == "+":
                case.entries.append(rest)
            else:
                setattr(case, {">": "script", "$": "account", "=": "figures", "?": "unbilled"}[sign], rest)
        if name:
            found.append(case)
    return found


def instant(text: str) -> int:
    parts = text.replace("-", "+-").split("+")
    return START_US + sum(int(part[:-1]) * UNITS[part[-1]] for part in parts if part and part != "0")


def event(position: int, word: str) -> LoggedEvent:
    match = WORD.fullmatch(word)
    assert match is not None, word
    kind, rest, at, person, address, signal = match.groups()
    at_us = instant(at or "0")
    base = LoggedEvent(
        position, TYPES[kind], f"e{position}", at_us, at_us, int(person or 1), None, None,
        signals=Signals(int(address or 0), signal == "bot", signal == "prefetch", signal == "centre"),
    )  # fmt: skip
    if TYPES[kind] <= EventType.LANDING:
        return replace(base, event_id=rest, ad=advertisement(rest, "pia" if kind == "link" else ""))
    if TYPES[kind] <= EventType.LEAD:
        return replace(base, action=ActionReport("acme", rest, at_us, "", ""))
    head, _, status = rest.partition("/")
    order_id, _, amounts = head.partition("=")
    lines = tuple(
        OrderLine(f"i{n}", 1, int(amount.rstrip("t")), "shop", ("category:tea",) if amount.endswith("t") else ())
        for n, amount in enumerate(amounts.split(","))
        if amount
    )
    return replace(base, order=OrderReport(order_id, "acme", "CNY", at_us, OrderStatus(STATUSES[status]), 1, "", lines))


def advertisement(token_id: str, promoter_id: str) -> AdFacts:
    terms = TERMS[token_id[0]]
    return AdFacts(
        token_id, f"d-{token_id}", terms.campaign_id, f"cr-{terms.campaign_id}", PLACES.get(terms.campaign_id, "own"),
        "ag", "acme", 1, terms.pricing_model, PRICES.get(terms.campaign_id, 2_000), "CNY", "", promoter_id,
    )  # fmt: skip


def run(case: Case, batch: int) -> tuple[list[str], str, str]:
    held = {name: int(value) for name, value in (part.split("=") for part in case.account.split())}
    purse = Purse("acme", held.get("prepaid", 0), 0, held.get("credit", UNLIMITED_NANOS))
    books = Books(TermsBook(TERMS.values()), PlacementBook(PLACEMENTS), purses={("acme", "CNY"): purse})
    billing = Billing(books)
    events = [event(n, word) for n, word in enumerate(case.script.split(), 1)]
    for start in range(0, len(events), batch):
        billing.take(events[start : start + batch])
    entries = [
        f"{one.kind} {one.campaign_id}: "
        + ", ".join(
            f"{short(side.account)} {side.amount_nanos}" for side in sorted(one.postings, key=lambda s: s.account)
        )
        for one in billing.effects.entries
    ]
    figures: Counter[str] = Counter()
    for row in billing.effects.figures.values():
        figures.update({name: getattr(row, name) for name in row.__slots__})
    shown = " ".join(f"{name}={value}" for name, value in sorted(figures.items()) if value)
    reasons = Counter(one.reason for one in billing.effects.unbilled)
    return entries, shown, " ".join(f"{reason}={count}" for reason, count in sorted(reasons.items()))


def short(account: str) -> str:
    plain = account.removeprefix("advertiser:").removesuffix(":acme")
    return plain if plain == "platform:estimated" else plain.removeprefix("platform:")


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases()])
def test_case(case: Case, batch: int) -> None:
    assert run(case, batch) == (case.entries, case.figures, case.unbilled)
