"""Events of the effect chain, as they come in and as they stand in the log."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class EventType(IntEnum):
    """What happened; the numbers are those of the wire and of the log."""

    IMPRESSION = 1
    VIEWABLE = 2
    CLICK = 3
    LANDING = 4
    ENGAGEMENT = 5
    LEAD = 6
    ORDER = 7
    ORDER_UPDATE = 8
    REFUND = 9

    @property
    def word(self) -> str:
        """The name in lower case, as causes and the lake use it."""
        return _WORDS[self]


_WORDS = {one: one.name.lower() for one in EventType}
TOKEN_EVENTS = frozenset({EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK, EventType.LANDING})
ORDER_EVENTS = frozenset({EventType.ORDER, EventType.ORDER_UPDATE, EventType.REFUND})
ACTION_EVENTS = frozenset({EventType.ENGAGEMENT, EventType.LEAD})


class OrderStatus(IntEnum):
    """How far an order is, as its events say."""

    UNSPECIFIED = 0
    PLACED = 1
    PAID = 2
    COMPLETED = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order, or of a refund; `paid_micros` is what was paid, or is paid back, for the whole line."""

    item_id: str
    quantity: int
    paid_micros: int
    shop_id: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What an order event says about its order. `lines` are items (ORDER) or returned items (REFUND)."""

    order_id: str
    advertiser_id: str
    currency: str
    order_time_us: int
    status: OrderStatus
    channel: int
    click_id: str
    lines: tuple[OrderLine, ...]


ABSENT_US = -1
"""Stands for the time of an action that came without one; in the log it has the time of receipt."""


@dataclass(frozen=True, slots=True)
class ActionReport:
    """What somebody did after an advertisement; `reference` is the advertiser's own of a contact that was left."""

    advertiser_id: str
    name: str
    action_time_us: int
    click_id: str
    reference: str


@dataclass(frozen=True, slots=True)
class Signals:
    """
    What the receiving server saw of an event's traffic.

    `address_hash` is of the network address under a key of the day, 0 where it is not known; it is never the address.
    """

    address_hash: int = 0
    known_bot: bool = False
    prefetch: bool = False
    data_centre: bool = False


NO_SIGNALS = Signals()


@dataclass(frozen=True, slots=True)
class AdFacts:
    """
    What a tracking token says about the advertisement; the price is in micros per thousand (CPM) or per click.

    `promoter_id` and `sub_id` are of a promoter's link, `audience_id` is the audience that put the person into the ad
    group; empty where there is none.
    """

    token_id: str
    decision_id: str
    campaign_id: str
    creative_id: str
    placement_id: str
    ad_group_id: str
    advertiser_id: str
    terms_version: int
    pricing_model: str
    price_micros: int
    currency: str
    reservation_id: str
    promoter_id: str = ""
    sub_id: str = ""
    audience_id: str = ""


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """
    An event as a caller sent it.

    `content` is what two reports of one event must agree in where no token decides; `body` is what is kept.
    """

    event_type: EventType
    event_id: str
    token: str
    receive_time_us: int | None
    client_time_us: int | None
    person_id: int
    measurable: bool | None
    order: OrderReport | None
    content: bytes
    body: bytes
    sighting_id: int = 0
    action: ActionReport | None = None
    signals: Signals = NO_SIGNALS


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event that may be committed; `body_hash` decides between duplicate and conflict."""

    event_type: EventType
    event_id: str
    body_hash: bytes
    body: bytes
    receive_time_us: int
    event_time_us: int
    person_id: int
    ad: AdFacts | None
    order: OrderReport | None
    sighting_id: int = 0
    action: ActionReport | None = None
    signals: Signals = NO_SIGNALS


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """
    A committed event; positions grow without gaps, in the order in which they become visible.

    `person_id` is as it was told, or as it is now where the event was read for billing; `sighting_id` names the
    identifier that led to the person, 0 where none is known.
    """

    position: int
    event_type: EventType
    event_id: str
    receive_time_us: int
    event_time_us: int
    person_id: int
    ad: AdFacts | None
    order: OrderReport | None
    body: bytes = b""
    sighting_id: int = 0
    action: ActionReport | None = None
    signals: Signals = NO_SIGNALS
    body_hash: bytes = b""

    @property
    def advertiser_id(self) -> str:
        """Whose it is."""
        owner = self.ad or self.order or self.action
        return owner.advertiser_id if owner is not None else ""

    @property
    def cause_id(self) -> str:
        """How a ledger entry names this event."""
        return f"{self.event_type.word}/{self.event_id}"


class Outcome(StrEnum):
    """What became of one event."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event; `field` is the path below the event."""

    event_id: str
    outcome: Outcome
    reason: str = ""
    field: str = ""
