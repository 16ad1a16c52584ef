"""Makes households known: their identifiers, what they told, and what they bought."""

from collections.abc import Iterable, Sequence

import msgspec

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.journey import Basket, Household
from bihuan_cli.replay import identifiers
from bihuan_cli.replay.world import CURRENCY
from bihuan_shared.clock import format_rfc3339
from bihuan_shared.errors import FailedPrecondition

PEOPLE_PER_CALL = 200


class EventResult(msgspec.Struct):
    """What became of one event."""

    event_id: str
    outcome: str
    reason: str | None = None


class LinkResult(msgspec.Struct):
    """What became of one link."""

    request_id: str
    outcome: str
    reason: str | None = None


class EventsAnswer(msgspec.Struct):
    """The answer of `POST /v1/events`."""

    events: list[EventResult]
    links: list[LinkResult]


async def introduce(client: GatewayClient, households: Sequence[Household], time_us: int) -> int:
    """
    Link every household's identifiers and set its registration tags; answer how many persons were linked.

    Raises FailedPrecondition where a link is refused.
    """
    for start in range(0, len(households), PEOPLE_PER_CALL):
        page = households[start : start + PEOPLE_PER_CALL]
        body = {
            "links": [_link(household, time_us) for household in page],
            "attributes": [_attributes(household, time_us) for household in page if household.demographics],
        }
        answer = await client.post("/v1/events", body, EventsAnswer, time_us=time_us)
        refused = [link for link in answer.links if link.outcome != "accepted"]
        if refused:
            raise FailedPrecondition(f"link {refused[0].request_id} was refused: {refused[0].reason}")
    return len(households)


def _link(household: Household, time_us: int) -> dict[str, object]:
    return {
        "request_id": f"journey:{household.household_id}",
        "identifiers": identifiers.all_of(household.household_id),
        "evidence": {"kind": "deterministic", "source": "synthetic-login", "observe_time": format_rfc3339(time_us)},
    }


def _attributes(household: Household, time_us: int) -> dict[str, object]:
    return {
        "identifiers": [identifiers.login(household.household_id)],
        "attributes": [
            {"name": name, "value": value, "update_time": format_rfc3339(time_us)}
            for name, value in household.demographics.items()
        ],
    }


def basket_events(basket: Basket, *, ordered: bool) -> Iterable[dict[str, object]]:
    """
    The behaviour that a basket is: a purchase, and the use of coupons where it has any.

    The purchase is left out where the basket comes as an order of its own (`ordered`).
    """
    person: dict[str, object] = {
        "identifiers": [identifiers.login(basket.household_id)],
        "event_time": format_rfc3339(basket.time_us),
        "consent": identifiers.CONSENT,
    }
    if not ordered:
        yield person | {
            "event_id": f"order:{basket.basket_id}",
            "behaviour": "order",
            "tags": [f"category:{kind}" for kind in basket.product_types],
            "amount": {"currency": CURRENCY, "micros": basket.paid_micros},
        }
    if basket.coupon_types:
        yield person | {
            "event_id": f"coupon:{basket.basket_id}",
            "behaviour": "coupon",
            "tags": [f"coupon:{kind}" for kind in basket.coupon_types],
        }


async def tell(client: GatewayClient, events: Sequence[dict[str, object]], time_us: int | None) -> None:
    """Send behaviour; raises FailedPrecondition where an event is rejected."""
    answer = await client.post("/v1/events", {"events": events}, EventsAnswer, time_us=time_us)
    rejected = [result for result in answer.events if result.outcome == "rejected"]
    if rejected:
        raise FailedPrecondition(f"event {rejected[0].event_id} was rejected: {rejected[0].reason}")
