"""Committed events as the stream `events` and the lake's dataset `events` carry them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import accumulate
from operator import attrgetter

import pyarrow as pa

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.event import (
    ActionReport,
    AdFacts,
    EventType,
    LoggedEvent,
    OrderLine,
    OrderReport,
    OrderStatus,
    Signals,
)
from bihuan_shared.clock import to_timestamp
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake
from bihuan_shared.streams import StreamWriter

STREAM = "events"
DATASET = "events"
_ITEM = pa.struct(
    [
        ("item_id", pa.string()),
        ("shop_id", pa.string()),
        ("quantity", pa.int64()),
        ("paid_micros", pa.int64()),
        ("tags", pa.list_(pa.string())),
    ]
)
_AD_COLUMNS = {
    name: pa.int64() if name in {"terms_version", "price_micros"} else pa.string()
    for name in (one.name for one in fields(AdFacts))
    if name != "advertiser_id"
}
_SCHEMA = pa.schema(
    {"log_position": pa.int64(), "event_type": pa.string(), "event_id": pa.string(), "advertiser_id": pa.string()}
    | {"person_id": pa.int64(), "sighting_id": pa.uint64(), "event_time_us": pa.int64(), "receive_time_us": pa.int64()}
    | _AD_COLUMNS
    | {"order_id": pa.string(), "click_id": pa.string(), "paid_micros": pa.int64(), "order_currency": pa.string()}
    | {"order_status": pa.string(), "order_channel": pa.int32(), "order_time_us": pa.int64(), "items": pa.list_(_ITEM)}
    | {"action": pa.string(), "action_reference": pa.string(), "address_hash": pa.uint64(), "known_bot": pa.bool_()}
    | {"prefetch": pa.bool_(), "data_centre": pa.bool_(), "body_hash": pa.string()}
)
_SIGNALS = tuple(one.name for one in fields(Signals))
_NO_AD = AdFacts("", "", "", "", "", "", "", 0, "", 0, "", "")
_NO_ORDER = OrderReport("", "", "", 0, OrderStatus.UNSPECIFIED, 0, "", ())
_NO_ACTION = ActionReport("", "", 0, "", "")
_STATUSES = {one: one.name.lower() if one else "" for one in OrderStatus}


def accepted_event(event: LoggedEvent) -> common_pb2.AcceptedEvent:
    """An event as the stream carries it."""
    sent = event_pb2.Event.FromString(event.body)
    message = common_pb2.AcceptedEvent(
        log_position=event.position,
        event_type=int(event.event_type),  # type: ignore[arg-type]  # the numbers are those of the wire
        event_id=event.event_id,
        person_id=event.person_id,
        sighting_id=event.sighting_id,
        event_time=to_timestamp(event.event_time_us),
        campaign_id=event.ad.campaign_id if event.ad is not None else "",
        tags=sent.tags,
        consent=sent.consent if sent.HasField("consent") else None,
    )
    if event.order is not None:
        order = event.order
        message.order_id = order.order_id
        message.tags.extend(dict.fromkeys(tag for line in order.lines for tag in line.tags))
        message.amount.currency = order.currency
        message.amount.micros = sum(line.paid_micros for line in order.lines)
        message.items.extend(_purchased(line) for line in order.lines if line.tags)
    return message


def _purchased(line: OrderLine) -> common_pb2.PurchasedItem:
    """What a line tells by its tags `category:…`, `brand:…` and `size:…`; the first of each counts."""
    told = {name: value for name, _, value in (tag.partition(":") for tag in reversed(line.tags)) if value}
    return common_pb2.PurchasedItem(
        category=told.get("category", ""),
        brand=told.get("brand", ""),
        size=told.get("size", ""),
        quantity=line.quantity,
    )


class StreamSink:
    """The streams `st:{events:N}`, sharded by person."""

    def __init__(self, writer: "StreamWriter[common_pb2.AcceptedEvent]") -> None:
        self._writer = writer

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Append events, in order within a shard."""
        await self._writer.append((event.person_id, accepted_event(event)) for event in events)


class LakeSink:
    """The dataset `events`, one file a range of positions, in the hour of the latest receipt in it."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Write the file of one range; Unavailable where the store refuses, so that it is tried again."""
        name = f"{events[0].position:016d}-{events[-1].position:016d}"
        landed_us = max(event.receive_time_us for event in events)
        table = await asyncio.to_thread(lake_table, events)
        try:
            await self._lake.write(DATASET, name, table, time_us=landed_us)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error


def lake_table(events: Sequence[LoggedEvent]) -> pa.Table:
    """
    Rows of the dataset `events`: all that the log says of them.

    The columns of a token's facts are named as in `AdFacts`, `currency` among them, and are empty or 0 for events of
    orders; those of `OrderReport` are so for the others. `order_status` is a word, `order_channel` the number of the
    wire. `items` are the lines of an order, or of a refund, where their `paid_micros` is what comes back;
    `paid_micros` beside it is their sum. `click_id` is the token of a click, and the click that an order or an action
    names. `body_hash` is what repeats were compared by, in hexadecimal.
    """
    # Column by column: a dict a row takes longer than writing the file.
    ads = [event.ad or _NO_AD for event in events]
    orders = [event.order or _NO_ORDER for event in events]
    actions = [event.action or _NO_ACTION for event in events]
    signals = [event.signals for event in events]
    click, clicks = EventType.CLICK, zip(events, ads, orders, actions, strict=True)
    columns: dict[str, Iterable[object]] = {
        "log_position": map(attrgetter("position"), events),
        "event_type": [event.event_type.word for event in events],
        "advertiser_id": [event.advertiser_id for event in events],
        "click_id": [
            ad.token_id if one.event_type is click else order.click_id or action.click_id
            for one, ad, order, action in clicks
        ],
        "action": map(attrgetter("name"), actions),
        "action_reference": map(attrgetter("reference"), actions),
        "body_hash": [event.body_hash.hex() for event in events],
        "paid_micros": [sum(line.paid_micros for line in order.lines) if order.lines else 0 for order in orders],
        "order_id": map(attrgetter("order_id"), orders),
        "order_currency": map(attrgetter("currency"), orders),
        "order_status": [_STATUSES[order.status] for order in orders],
        "order_channel": map(attrgetter("channel"), orders),
        "order_time_us": map(attrgetter("order_time_us"), orders),
    }
    columns |= {name: map(attrgetter(name), ads) for name in _AD_COLUMNS}
    columns |= {name: map(attrgetter(name), signals) for name in _SIGNALS}
    columns |= {name: map(attrgetter(name), events) for name in _SCHEMA.names if name not in columns | {"items": ()}}
    arrays = {name: pa.array(values, _SCHEMA.field(name).type, size=len(events)) for name, values in columns.items()}
    arrays["items"] = _items(orders)
    return pa.table([arrays[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _items(orders: Sequence[OrderReport]) -> pa.ListArray:
    lines = [line for order in orders for line in order.lines]
    parts = [pa.array(map(attrgetter(field.name), lines), field.type, size=len(lines)) for field in _ITEM]
    ends = pa.array(accumulate((len(order.lines) for order in orders), initial=0), pa.int32(), size=len(orders) + 1)
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(parts, fields=list(_ITEM)))
