"""Synthetic, seeded traffic: what one campaign after the other was shown, clicked and bought, as sealed events."""

import random
from collections.abc import Iterator

from attribution_process import KEYS
from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.attribution.v1 import attribution_pb2, event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, SECOND_US, to_timestamp
from bihuan_shared.tokens import TrackingToken

MODELS = ("cpm", "cpc", "cps")
CAMPAIGNS = 60
ADVERTISERS = 6
PERSONS = 20_000
CURRENCY = "CNY"
VIEWABLE, CLICKED, LANDED, BOUGHT = 0.6, 0.1, 0.8, 0.2
_EVENT = {
    "impression": common_pb2.EVENT_TYPE_IMPRESSION,
    "viewable": common_pb2.EVENT_TYPE_VIEWABLE,
    "click": common_pb2.EVENT_TYPE_CLICK,
    "landing": common_pb2.EVENT_TYPE_LANDING,
}


def advertiser_of(campaign: int) -> str:
    """Who pays for a campaign."""
    return f"a{campaign % ADVERTISERS}"


def terms(at_us: int, *, budget_micros: int = 0) -> attribution_pb2.PutTermsRequest:
    """The terms of all campaigns, advertisers and placements; a budget of 0 is none."""
    campaigns = [
        terms_pb2.CampaignTerms(
            campaign_id=f"c{number}",
            advertiser_id=advertiser_of(number),
            version=1,
            effective_time=to_timestamp(at_us - DAY_US),
            currency=CURRENCY,
            time_zone="Asia/Shanghai",
            pricing=_pricing(MODELS[number % len(MODELS)]),
            budget=terms_pb2.Budget(daily_micros=budget_micros, total_micros=budget_micros),
        )
        for number in range(CAMPAIGNS)
    ]
    place = terms_pb2.PlacementTerms(
        placement_id="p", version=1, effective_time=to_timestamp(at_us - DAY_US), publisher_id="pub",
        revenue_share_ppm=600_000, traffic_source="portal",
    )  # fmt: skip
    return attribution_pb2.PutTermsRequest(terms=campaigns, placements=[place])


def _pricing(model: str) -> terms_pb2.Pricing:
    kind = terms_pb2.PricingModel.Value(f"PRICING_MODEL_{model.upper()}")
    if model == "cps":
        return terms_pb2.Pricing(model=kind, commission_rate_ppm=100_000, promoter_share_ppm=500_000)
    return terms_pb2.Pricing(model=kind, bid_micros=2_000_000)


def events(count: int, start_us: int, seed: int) -> list[event_pb2.Event]:
    """
    So many events over three hours: of 100 impressions 60 are viewable, 10 clicked, 8 land, 2 are bought from.

    The shares are ours. What belongs together comes close together, as it does in life.
    """
    dice = random.Random(seed)
    found: list[event_pb2.Event] = []
    for number in _forever():
        if len(found) >= count:
            return found[:count]
        found += _visit(number, start_us + dice.randrange(3 * 3_600 * SECOND_US), dice)
    raise AssertionError


def _forever() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _visit(number: int, at_us: int, dice: random.Random) -> Iterator[event_pb2.Event]:
    campaign, person = dice.randrange(CAMPAIGNS), dice.randrange(1, PERSONS)
    token = _token(f"t{number}", campaign, person, at_us, dice)
    yield _beacon("impression", token, at_us)
    if dice.random() < VIEWABLE:
        yield _beacon("viewable", token, at_us + SECOND_US)
    if dice.random() < CLICKED:
        yield _beacon("click", token, at_us + 5 * SECOND_US)
        if dice.random() < LANDED:
            yield _beacon("landing", token, at_us + 6 * SECOND_US)
        if dice.random() < BOUGHT:
            yield _order(f"o{number}", advertiser_of(campaign), person, at_us + 600 * SECOND_US, dice)


def _token(token_id: str, campaign: int, person: int, at_us: int, dice: random.Random) -> str:
    token = TrackingToken(
        token_id=token_id,
        decision_id=f"d-{token_id}",
        creative_id=f"cr{campaign}",
        placement_id="p",
        campaign_id=f"c{campaign}",
        advertiser_id=advertiser_of(campaign),
        ad_group_id=f"g{campaign}",
        terms_version=1,
        pricing_model=MODELS[campaign % len(MODELS)],
        price_micros=dice.randrange(100_000, 2_000_000),
        currency=CURRENCY,
        person_id=person,
        issue_time_us=at_us,
        expire_time_us=at_us + 30 * DAY_US,
        reserve_nanos=0,
        reservation_id="",
    )
    return KEYS.seal(token, dice.randbytes(12))


def _beacon(kind: str, token: str, at_us: int) -> event_pb2.Event:
    return event_pb2.Event(event_type=_EVENT[kind], token=token, receive_time=to_timestamp(at_us))


def _order(order_id: str, advertiser: str, person: int, at_us: int, dice: random.Random) -> event_pb2.Event:
    when: Timestamp = to_timestamp(at_us)
    event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id=f"e-{order_id}", receive_time=when)
    event.person.person_id = person
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    order = event.order
    order.order_id, order.advertiser_id, order.currency = order_id, advertiser, CURRENCY
    order.order_time.CopyFrom(when)
    order.status = event_pb2.ORDER_STATUS_PAID
    for number in range(dice.randrange(1, 4)):
        order.items.add(item_id=f"i{number}", quantity=1, paid_micros=dice.randrange(1, 90_000_000))
    return event
