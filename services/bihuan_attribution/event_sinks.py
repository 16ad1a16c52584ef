"""Committed events as the stream `events` and the lake's dataset `events` carry them."""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.event import LoggedEvent
from bihuan_shared.clock import DAY_US, to_timestamp
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import LakeWriter
from bihuan_shared.streams import StreamWriter

STREAM = "events"
DATASET = "events"
_SCHEMA = pa.schema(
    [("log_position", pa.int64()), ("event_type", pa.string()), ("event_id", pa.string())]
    + [(name, pa.string()) for name in ("token_id", "decision_id", "campaign_id", "creative_id", "placement_id")]
    + [("advertiser_id", pa.string()), ("person_id", pa.int64())]
    + [("event_time_us", pa.int64()), ("receive_time_us", pa.int64())]
    + [("order_id", pa.string()), ("click_id", pa.string()), ("paid_micros", pa.int64())]
    + [("sighting_id", pa.uint64())]
)


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
    return message


class StreamSink:
    """The streams `st:{events:N}`, sharded by person."""

    def __init__(self, writer: "StreamWriter[common_pb2.AcceptedEvent]") -> None:
        self._writer = writer

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Append events, in order within a shard."""
        await self._writer.append((event.person_id, accepted_event(event)) for event in events)


class LakeSink:
    """The dataset `events`, one file a range of positions and day of receipt."""

    def __init__(self, writer: LakeWriter) -> None:
        self._writer = writer

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Write the files of one range; Unavailable where the disk refuses, so that it is tried again."""
        name = f"{events[0].position:016d}-{events[-1].position:016d}"
        by_day: dict[int, list[LoggedEvent]] = defaultdict(list)
        for event in events:
            by_day[event.receive_time_us // DAY_US].append(event)
        try:
            for some in by_day.values():
                table = pa.Table.from_pylist([_lake_row(event) for event in some], schema=_SCHEMA)
                await self._writer.write(DATASET, name, table, time_us=some[0].receive_time_us)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error


def _lake_row(event: LoggedEvent) -> dict[str, object]:
    ad, order = event.ad, event.order
    return {
        "log_position": event.position,
        "event_type": event.event_type.word,
        "event_id": event.event_id,
        "token_id": ad.token_id if ad else "",
        "decision_id": ad.decision_id if ad else "",
        "campaign_id": ad.campaign_id if ad else "",
        "creative_id": ad.creative_id if ad else "",
        "placement_id": ad.placement_id if ad else "",
        "advertiser_id": ad.advertiser_id if ad else order.advertiser_id if order else "",
        "person_id": event.person_id,
        "event_time_us": event.event_time_us,
        "receive_time_us": event.receive_time_us,
        "order_id": order.order_id if order else "",
        "click_id": ad.token_id if ad and event.event_type.word == "click" else order.click_id if order else "",
        "sighting_id": event.sighting_id,
        "paid_micros": sum(line.paid_micros for line in order.lines) if order else 0,
    }
