"""Events of the effect chain, as attribution takes them in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bihuan_gateway.data.domain.traffic import UNSEEN, Traffic
from bihuan_gateway.data.ports.people import Consent, Resolved


class Recorded(StrEnum):
    """What became of an event of the effect chain."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What became of an event; `field` is the path of the field at fault inside the event, or empty."""

    outcome: Recorded
    reason: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Beacon:
    """An impression, viewable, click or landing: `kind` as attribution names it, with the sealed token."""

    kind: str
    token: str
    receive_time_us: int
    tags: tuple[str, ...]
    measured: bool
    traffic: Traffic = UNSEEN


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order, or of a refund (`micros` is then what is paid back)."""

    item_id: str
    shop_id: str
    quantity: int
    micros: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An order, an update or a refund (`kind` as attribution names it); `person` is nobody where none may be stored."""

    kind: str
    event_id: str
    order_id: str
    advertiser_id: str
    currency: str
    order_time_us: int
    receive_time_us: int
    channel: str
    status: str
    lines: tuple[OrderLine, ...]
    click_id: str
    person: Resolved
    consent: Consent


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """An ENGAGEMENT or a LEAD; no time stands for that of receipt, and `person` is nobody where none may be stored."""

    kind: str
    event_id: str
    advertiser_id: str
    name: str
    action_time_us: int | None
    receive_time_us: int
    click_id: str
    reference: str
    person: Resolved
    consent: Consent


class EventLog(Protocol):
    """Attribution's event log; what it answers as accepted is a committed row."""

    async def record(self, event: bytes) -> RecordResult:
        """Commit one event, encoded by `encode_beacon`; merged with other calls."""
        ...

    async def record_encoded(self, events: Sequence[bytes]) -> list[RecordResult]:
        """Commit up to 1,000 encoded events in one call."""
        ...

    async def record_orders(self, orders: Sequence[OrderEvent]) -> list[RecordResult]:
        """Commit up to 1,000 order events in one call."""
        ...

    async def record_actions(self, actions: Sequence[ActionEvent]) -> list[RecordResult]:
        """Commit up to 1,000 engagements and leads in one call."""
        ...

    def encode_beacon(self, beacon: Beacon) -> bytes:
        """Write a beacon in the form that is sent and spooled."""
        ...
