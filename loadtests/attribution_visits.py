"""Visits that go on whatever dies: somebody reserves, sees, clicks, buys and returns."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from attribution_process import KEYS

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, SystemClock, to_timestamp
from bihuan_shared.tokens import TrackingToken

Ask = Callable[[str, object], Awaitable[object]]
PERSONS = 16
CAP = 3
DEPOSIT_MICROS = 40_000
"""What the advertiser `poor` has, and nothing beyond; `rich` has no limit but its campaigns'."""
BUDGETS_MICROS = {"tight-cpm": 30_000, "tight-cpc": 40_000}
PRICES = {"cpm": 900_000, "cpc": 700, "cps": 0}
CAMPAIGNS = {
    "capped": ("rich", "cpm"),
    "tight-cpm": ("rich", "cpm"),
    "tight-cpc": ("rich", "cpc"),
    "sale": ("rich", "cps"),
    "poor-cpm": ("poor", "cpm"),
    "poor-cpc": ("poor", "cpc"),
}
_MODELS = {"cpm": terms_pb2.PRICING_MODEL_CPM, "cpc": terms_pb2.PRICING_MODEL_CPC, "cps": terms_pb2.PRICING_MODEL_CPS}


def terms() -> pb.PutTermsRequest:
    """The terms of all campaigns and of both accounts."""
    since = to_timestamp(SystemClock().now_us() - DAY_US)
    request = pb.PutTermsRequest()
    for name, limit in (("rich", 10**15), ("poor", 0)):
        request.advertisers.add(
            advertiser_id=name, version=1, effective_time=since, currency="CNY", time_zone="UTC",
            credit_limit_micros=limit,
        )  # fmt: skip
    request.placements.add(
        placement_id="p", version=1, effective_time=since, publisher_id="pub", revenue_share_ppm=333_333
    )
    for name, (advertiser_id, model) in CAMPAIGNS.items():
        budget = BUDGETS_MICROS.get(name, 0)
        one = request.terms.add(
            campaign_id=name, advertiser_id=advertiser_id, version=1, effective_time=since, currency="CNY",
            time_zone="UTC", budget=terms_pb2.Budget(daily_micros=budget, total_micros=budget),
            pricing=terms_pb2.Pricing(
                model=_MODELS[model], bid_micros=0 if model == "cps" else 10**6,
                commission_rate_ppm=123_457 if model == "cps" else 0,
            ),
        )  # fmt: skip
        if name == "capped":
            one.frequency_caps.add(
                level=terms_pb2.CAP_LEVEL_CAMPAIGN, window=terms_pb2.CAP_WINDOW_LIFETIME, max_impressions=CAP
            )
    return request


@dataclass
class Seen:
    """What the visitors were told: acknowledged events, and capped impressions by person."""

    acknowledged: set[tuple[int, str]] = field(default_factory=set)
    shown: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


class Visitors:
    """Visits, one after the other, each by its number; every call is repeated until it is answered."""

    def __init__(self, ask: Ask, seed: int) -> None:
        self._ask = ask
        self._seed = seed
        self.seen = Seen()
        self.visits = 0

    async def visit(self, number: int) -> None:
        """One visit to the end."""
        dice = random.Random(f"{self._seed}:{number}")
        person, wanted = dice.randrange(1, PERSONS), dice.sample(list(CAMPAIGNS), 3)
        campaign = await self._reserve(number, person, wanted)
        self.visits += 1
        if campaign is None:
            return
        token = _token(number, campaign, person)
        if campaign == "capped":
            self.seen.shown[person] += 1
        await self._record(_beacon(common_pb2.EVENT_TYPE_IMPRESSION, token))
        clicked = dice.random() < 0.7  # noqa: PLR2004 - most click, so that the small budgets run out
        if clicked:
            # A click may well come before what is acknowledged of its impression.
            await self._record(_beacon(common_pb2.EVENT_TYPE_CLICK, token))
        if dice.random() < 0.2:  # noqa: PLR2004 - a fifth is sent again
            await self._record(_beacon(common_pb2.EVENT_TYPE_IMPRESSION, token))
        if clicked and campaign == "sale":
            await self._buy(number, person, dice)

    async def _reserve(self, number: int, person: int, wanted: list[str]) -> str | None:
        item = pb.ReserveItem(reservation_id=f"r{number}", person=common_pb2.PersonRef(person_id=person))
        for name in wanted:
            advertiser_id, model = CAMPAIGNS[name]
            amount = PRICES[model] if model == "cpm" else PRICES[model] * 1000
            item.candidates.add(
                campaign_id=name, advertiser_id=advertiser_id, ad_group_id="g", creative_id="c", amount_nanos=amount
            )
        answer = await self._ask("ReserveBudget", pb.ReserveBudgetRequest(items=[item]))
        assert isinstance(answer, pb.ReserveBudgetResponse)
        (result,) = answer.results
        self.seen.outcomes.update(pb.ReserveOutcome.Name(one) for one in result.outcomes)
        return wanted[result.candidate_index] if result.HasField("candidate_index") else None

    async def _buy(self, number: int, person: int, dice: random.Random) -> None:
        await self._record(_order(f"e{number}", number, person, event_pb2.ORDER_STATUS_PAID))
        if dice.random() < 0.5:  # noqa: PLR2004 - half are completed
            update = _order(f"u{number}", number, person, event_pb2.ORDER_STATUS_COMPLETED)
            update.event_type = common_pb2.EVENT_TYPE_ORDER_UPDATE
            await self._record(update)
        if dice.random() < 0.3:  # noqa: PLR2004 - some come back
            refund = _order(f"b{number}", number, person, event_pb2.ORDER_STATUS_UNSPECIFIED)
            refund.event_type = common_pb2.EVENT_TYPE_REFUND
            refund.order.refund_items.add(item_id="i", quantity=1, refund_micros=1 + number % 1_000_000)
            await self._record(refund)

    async def _record(self, event: event_pb2.Event) -> None:
        answer = await self._ask("RecordEvents", pb.RecordEventsRequest(events=[event]))
        assert isinstance(answer, pb.RecordEventsResponse)
        (result,) = answer.results
        outcome = event_pb2.EventOutcome.Name(result.outcome)
        self.seen.outcomes[outcome] += 1
        if result.outcome in (event_pb2.EVENT_OUTCOME_ACCEPTED, event_pb2.EVENT_OUTCOME_DUPLICATE):
            self.seen.acknowledged.add((event.event_type, result.event_id))
        else:
            raise AssertionError(f"{outcome} {result.reason} {result.field}")


def _token(number: int, campaign: str, person: int) -> str:
    advertiser_id, model = CAMPAIGNS[campaign]
    token = TrackingToken(
        token_id=f"t{number}", decision_id=f"d{number}", creative_id="c", placement_id="p", campaign_id=campaign,
        advertiser_id=advertiser_id, ad_group_id="g", terms_version=1, pricing_model=model, price_micros=PRICES[model],
        currency="CNY", person_id=person, issue_time_us=0, expire_time_us=2**60, reserve_nanos=0,
        reservation_id=f"r{number}",
    )  # fmt: skip
    return KEYS.seal(token, number.to_bytes(12, "big"))


def _beacon(kind: "common_pb2.EventType.ValueType", token: str) -> event_pb2.Event:
    return event_pb2.Event(event_type=kind, token=token)


def _order(event_id: str, number: int, person: int, status: "event_pb2.OrderStatus.ValueType") -> event_pb2.Event:
    event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id=event_id)
    event.person.person_id = person
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    order = event.order
    order.order_id, order.advertiser_id, order.currency, order.status = f"o{number}", "rich", "CNY", status
    # Asking again must ask the same.
    order.order_time.CopyFrom(to_timestamp(SystemClock().now_us()))
    if event_id.startswith("e"):
        order.items.add(item_id="i", quantity=1, paid_micros=1_000_000)
    return event


async def keep_visiting(visitors: Visitors, numbers: "list[int]", stop: asyncio.Event) -> None:
    """Visit after visit until told to stop; numbers are handed out from the only element of `numbers`."""
    while not stop.is_set():
        numbers[0] += 1
        await visitors.visit(numbers[0])
