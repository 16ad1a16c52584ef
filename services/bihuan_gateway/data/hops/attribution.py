"""Attribution over gRPC: budgets and the event log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2, event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.data.domain.traffic import UNSEEN, Traffic
from bihuan_gateway.data.hops.coalescer import Coalescer
from bihuan_gateway.data.hops.wire import consent_message
from bihuan_gateway.data.ports import (
    ActionEvent,
    Beacon,
    Consent,
    OrderEvent,
    Recorded,
    RecordResult,
    ReserveAnswer,
    ReserveOutcome,
    ReserveQuery,
)
from bihuan_shared.clock import replay_time_us, to_timestamp

if TYPE_CHECKING:  # stubs of asyncio exist for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


class _ReserveOutcomes(dict[int, ReserveOutcome]):
    """Outcomes by their number; a number that is not known says nothing."""

    def __missing__(self, number: int) -> ReserveOutcome:
        return ReserveOutcome.NOT_LOOKED_AT


RESERVE_OUTCOMES = _ReserveOutcomes(
    {
        attribution_pb2.RESERVE_OUTCOME_RESERVED: ReserveOutcome.RESERVED,
        attribution_pb2.RESERVE_OUTCOME_CAPPED: ReserveOutcome.CAPPED,
        attribution_pb2.RESERVE_OUTCOME_BUDGET_EXHAUSTED: ReserveOutcome.BUDGET_EXHAUSTED,
        attribution_pb2.RESERVE_OUTCOME_BALANCE_EXHAUSTED: ReserveOutcome.BALANCE_EXHAUSTED,
        attribution_pb2.RESERVE_OUTCOME_NO_TERMS: ReserveOutcome.NO_TERMS,
    }
)
_EVENT_OUTCOMES = {
    event_pb2.EVENT_OUTCOME_ACCEPTED: Recorded.ACCEPTED,
    event_pb2.EVENT_OUTCOME_DUPLICATE: Recorded.DUPLICATE,
    event_pb2.EVENT_OUTCOME_CONFLICT: Recorded.CONFLICT,
}
_MEASURED = consent_message(Consent(purposes=frozenset({"MEASUREMENT"}), data_classes=frozenset({"OPERATION"})))

_Timed = tuple[ReserveQuery, int | None]
"""A query with the time it is replayed at, so that queries of different times share a call."""


class GrpcBudgets:
    """Implements the port `Budgets`."""

    def __init__(self, stub: "AttributionServiceAsyncStub", *, timeout_s: float) -> None:
        self._stub = stub
        self._validate = Coalescer[_Timed, ReserveAnswer](
            self._validate_many, timeout_s=timeout_s, max_items=256, timeless=True
        )
        self._reserve = Coalescer[_Timed, ReserveAnswer](
            self._reserve_many, timeout_s=timeout_s, max_items=256, timeless=True
        )

    async def validate(self, query: ReserveQuery) -> tuple[ReserveOutcome, ...]:
        """Tell what each candidate would get; nothing is set aside; merged with other calls."""
        return (await self._validate.ask_one((query, replay_time_us()))).outcomes

    async def reserve(self, query: ReserveQuery) -> ReserveAnswer:
        """Set the first candidate aside that has both money and a slot; merged with other calls."""
        return await self._reserve.ask_one((query, replay_time_us()))

    async def close(self) -> None:
        """Wait for the calls in flight."""
        await self._validate.close()
        await self._reserve.close()

    async def _validate_many(self, queries: Sequence[_Timed]) -> list[ReserveAnswer]:
        return await self._ask(queries, validate_only=True)

    async def _reserve_many(self, queries: Sequence[_Timed]) -> list[ReserveAnswer]:
        return await self._ask(queries, validate_only=False)

    async def _ask(self, queries: Sequence[_Timed], *, validate_only: bool) -> list[ReserveAnswer]:
        request = attribution_pb2.ReserveBudgetRequest(
            items=[_reserve_item(query, time_us) for query, time_us in queries], validate_only=validate_only
        )
        response = await self._stub.ReserveBudget(request)
        return [_reserve_answer(result) for result in response.results]


def _reserve_item(query: ReserveQuery, time_us: int | None) -> attribution_pb2.ReserveItem:
    item = attribution_pb2.ReserveItem(
        reservation_id=query.reservation_id,
        candidates=[
            attribution_pb2.ReserveCandidate(
                campaign_id=creative.ad_group.campaign.id,
                advertiser_id=creative.ad_group.campaign.advertiser.id,
                ad_group_id=creative.ad_group.id,
                creative_id=creative.id,
                amount_nanos=amount_nanos,
            )
            for creative, amount_nanos in query.candidates
        ],
    )
    if query.person_id:
        item.person.person_id = query.person_id
    if time_us is not None:
        item.replay_time.CopyFrom(to_timestamp(time_us))
    return item


def _reserve_answer(result: attribution_pb2.ReserveResult) -> ReserveAnswer:
    return ReserveAnswer(
        index=result.candidate_index if result.HasField("candidate_index") else None,
        outcomes=tuple(map(RESERVE_OUTCOMES.__getitem__, result.outcomes)),
    )


class GrpcEventLog:
    """Implements the port `EventLog`; an encoded event is a serialized `bihuan.attribution.v1.Event`."""

    def __init__(self, stub: "AttributionServiceAsyncStub", *, timeout_s: float) -> None:
        self._stub = stub
        self._record = Coalescer[bytes, RecordResult](
            self.record_encoded, timeout_s=timeout_s, max_items=500, timeless=True
        )

    async def record(self, event: bytes) -> RecordResult:
        """Commit one event, encoded by `encode_beacon`; merged with other calls."""
        return await self._record.ask_one(event)

    async def record_encoded(self, events: Sequence[bytes]) -> list[RecordResult]:
        """Commit up to 1,000 encoded events in one call."""
        return await self._ask([event_pb2.Event.FromString(event) for event in events])

    async def record_orders(self, orders: Sequence[OrderEvent]) -> list[RecordResult]:
        """Commit up to 1,000 order events in one call."""
        return await self._ask([_order_event(order) for order in orders])

    async def record_actions(self, actions: Sequence[ActionEvent]) -> list[RecordResult]:
        """Commit up to 1,000 engagements and leads in one call."""
        return await self._ask([_action_event(action) for action in actions])

    def encode_beacon(self, beacon: Beacon) -> bytes:
        """Write a beacon in the form that is sent and spooled."""
        event = event_pb2.Event(
            event_type=common_pb2.EventType.Value(f"EVENT_TYPE_{beacon.kind}"),
            token=beacon.token,
            receive_time=to_timestamp(beacon.receive_time_us),
            tags=beacon.tags,
            consent=_MEASURED if beacon.measured else None,
            signals=_signals(beacon.traffic) if beacon.traffic != UNSEEN else None,
        )
        encoded: bytes = event.SerializeToString()
        return encoded

    async def close(self) -> None:
        """Wait for the calls in flight."""
        await self._record.close()

    async def _ask(self, events: list[event_pb2.Event]) -> list[RecordResult]:
        response = await self._stub.RecordEvents(attribution_pb2.RecordEventsRequest(events=events))
        return [
            RecordResult(_EVENT_OUTCOMES.get(result.outcome, Recorded.REJECTED), result.reason, result.field)
            for result in response.results
        ]


def _signals(traffic: Traffic) -> event_pb2.TrafficSignals:
    return event_pb2.TrafficSignals(
        address_hash=traffic.address_hash,
        known_bot=traffic.known_bot,
        prefetch=traffic.prefetch,
        data_centre=traffic.data_centre,
    )


def _order_event(order: OrderEvent) -> event_pb2.Event:
    event = event_pb2.Event(
        event_type=common_pb2.EventType.Value(f"EVENT_TYPE_{order.kind}"),
        event_id=order.event_id,
        receive_time=to_timestamp(order.receive_time_us),
        consent=consent_message(order.consent),
        order=_order(order),
    )
    if order.person.person_id:
        event.person.person_id = order.person.person_id
        event.sighting_id = order.person.sighting_id
    return event


def _action_event(action: ActionEvent) -> event_pb2.Event:
    event = event_pb2.Event(
        event_type=common_pb2.EventType.Value(f"EVENT_TYPE_{action.kind}"),
        event_id=action.event_id,
        receive_time=to_timestamp(action.receive_time_us),
        consent=consent_message(action.consent),
        action=event_pb2.Action(
            advertiser_id=action.advertiser_id, name=action.name, click_id=action.click_id, reference=action.reference
        ),
    )
    if action.action_time_us is not None:
        event.action.action_time.CopyFrom(to_timestamp(action.action_time_us))
    if action.person.person_id:
        event.person.person_id = action.person.person_id
        event.sighting_id = action.person.sighting_id
    return event


def _order(order: OrderEvent) -> event_pb2.Order:
    message = event_pb2.Order(
        order_id=order.order_id,
        advertiser_id=order.advertiser_id,
        currency=order.currency,
        order_time=to_timestamp(order.order_time_us),
        click_id=order.click_id,
    )
    if order.channel:
        message.channel = event_pb2.OrderChannel.Value(f"ORDER_CHANNEL_{order.channel}")
    if order.status:
        message.status = event_pb2.OrderStatus.Value(f"ORDER_STATUS_{order.status}")
    for line in order.lines:
        if order.kind == "REFUND":
            message.refund_items.add(item_id=line.item_id, quantity=line.quantity, refund_micros=line.micros)
        else:
            message.items.add(
                item_id=line.item_id,
                shop_id=line.shop_id,
                quantity=line.quantity,
                paid_micros=line.micros,
                tags=line.tags,
            )
    return message
