"""Orders, updates and refunds from callers' servers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from bihuan_gateway.data.domain.naming import scoped_id
from bihuan_gateway.data.ports import EventLog, Identifier, Identities, OrderEvent, Recorded, RecordResult
from bihuan_gateway.data.use_cases.knowledge import MEASUREMENT
from bihuan_shared.errors import FieldViolation, NotFound

KINDS = {"order": "ORDER", "update": "ORDER_UPDATE", "refund": "REFUND"}


@dataclass(frozen=True, slots=True)
class ReportedOrder:
    """An order event whose person may be named by identifiers; `pointer` is where it stands in the body."""

    identifiers: tuple[Identifier, ...]
    event: OrderEvent
    pointer: str


@dataclass(frozen=True, slots=True)
class RecordOrders:
    """Takes orders in; a caller that is not answered sends them again."""

    identities: Identities
    events: EventLog
    count: Callable[[str], None]

    async def __call__(self, orders: Sequence[ReportedOrder], tenant: str | None) -> list[RecordResult]:
        """
        Commit up to 500 order events and return one result each, in order.

        Raises NotFound for an advertiser other than `tenant` (None: any), Unavailable or DeadlineExceeded where
        attribution or identity do not answer.
        """
        for order in orders:
            if tenant not in {None, order.event.advertiser_id}:
                raise NotFound(
                    "no such advertiser", FieldViolation(f"{order.pointer}/advertiser_id", "no such advertiser")
                )
        results = await self.events.record_orders(await self._with_persons(orders))
        for result in results:
            self.count(result.outcome.value)
        return results

    async def _with_persons(self, orders: Sequence[ReportedOrder]) -> list[OrderEvent]:
        """Resolve identifiers, only where MEASUREMENT is consented to."""
        wanted = [
            place
            for place, order in enumerate(orders)
            if order.identifiers and MEASUREMENT in order.event.consent.purposes
        ]
        events = [order.event for order in orders]
        if wanted:
            persons = await self.identities.resolve_many([orders[place].identifiers for place in wanted])
            for place, person in zip(wanted, persons, strict=True):
                events[place] = replace(events[place], person=person)
        return events


def order_event_id(event: OrderEvent, given: str) -> str:
    """
    Name an order event within its advertiser, so that no tenant's ids meet another's.

    `given` is the caller's id. Without one an order is named by its order id, an update by its status too, and a refund
    by what it says, so that sending it again counts once.
    """
    name = given or {
        "ORDER": event.order_id,
        "ORDER_UPDATE": f"{event.order_id}:{event.status}",
        "REFUND": f"{event.order_id}:{_content(event)}",
    }.get(event.kind, event.order_id)
    return scoped_id(event.advertiser_id, name)


def _content(event: OrderEvent) -> str:
    lines = [f"{line.item_id}\n{line.quantity}\n{line.micros}" for line in event.lines]
    return sha256("\n\n".join([str(event.order_time_us), event.currency, *lines]).encode()).hexdigest()[:32]


def field_pointer(path: str) -> str:
    """Turn the path of an event's field into a pointer into the order as it was sent; empty where it has none."""
    steps = [step for step in path.replace("]", "").replace("[", ".").split(".") if step]
    if steps[:1] == ["order"]:
        return "".join(f"/{step}" for step in steps[1:])
    return f"/{steps[0]}" if steps[:1] in (["event_id"], ["consent"]) else ""


def is_refused(result: RecordResult) -> bool:
    """Tell whether an order was not taken."""
    return result.outcome in {Recorded.CONFLICT, Recorded.REJECTED}
