"""
Behaviour, and what each kind of it is worth.

The numbers of `Behaviour` are those of `bihuan.common.v1`.
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from bihuan_profile.domain.governance import DataClass


class Behaviour(IntEnum):
    """What a person did."""

    VIEW = 1
    SEARCH = 2
    CLICK = 3
    FAVOURITE = 4
    CART = 5
    ORDER = 6
    REFUND = 7
    FOLLOW = 8
    SHARE = 9
    COMMENT = 10
    POST = 11
    IMPRESSION = 12
    COUPON = 13


INTEREST_WEIGHTS: Final[dict[Behaviour, float]] = {
    Behaviour.VIEW: 0.1,
    Behaviour.SEARCH: 0.3,
    Behaviour.CLICK: 0.2,
    Behaviour.FAVOURITE: 0.5,
    Behaviour.CART: 0.6,
    # The unit: an interest of 1 is one purchase, now.
    Behaviour.ORDER: 1.0,
    Behaviour.COUPON: 1.0,
    # Takes one purchase back; a sum below nothing reads as nothing.
    Behaviour.REFUND: -1.0,
    Behaviour.FOLLOW: 0.4,
    Behaviour.SHARE: 0.4,
    Behaviour.COMMENT: 0.3,
    Behaviour.POST: 0.3,
    # Being shown an advertisement tells nothing about what one likes.
    Behaviour.IMPRESSION: 0.0,
}
"""What one event adds to the interest in each of its distinct tags, at the instant of the event."""

_TRANSACTIONS: Final = frozenset({Behaviour.ORDER, Behaviour.REFUND, Behaviour.COUPON})


def data_class_of(behaviour: Behaviour) -> DataClass:
    """Class of the activity and of the interests that a behaviour forms."""
    return DataClass.TRANSACTION if behaviour in _TRANSACTIONS else DataClass.OPERATION


@dataclass(frozen=True, slots=True)
class Amount:
    """Money of one event: an ISO 4217 code and integer micros, not negative."""

    currency: str
    micros: int


@dataclass(frozen=True, slots=True)
class Item:
    """What was bought or returned, `quantity` times; an empty text is unknown."""

    category: str = ""
    brand: str = ""
    size: str = ""
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that one person did.

    `key` identifies it for ever within the person: whatever brings the same key again is a duplicate, whichever way
    it came. `amount` and `items` count for ORDER and REFUND and are ignored otherwise. `sighting_id` names the
    identifier that led to the person: the event follows it where the person is split. An `echo` is what somebody else
    did with something that this person had shared: it makes the person's influence and nothing else. `origin` is the
    way it came (`call`, `stream`, `echo`).
    """

    person_id: int
    key: str
    behaviour: Behaviour
    time_us: int
    tags: tuple[str, ...] = ()
    amount: Amount | None = None
    sighting_id: int = 0
    items: tuple[Item, ...] = ()
    echo: bool = False
    origin: str = ""

    @property
    def brands(self) -> tuple[str, ...]:
        """The brands it was about: of its tags `brand:<name>` and of its items, each once."""
        named = [tag[len(BRAND_PREFIX) :] for tag in self.tags if tag.startswith(BRAND_PREFIX)]
        return tuple(dict.fromkeys(brand for brand in (*named, *(item.brand for item in self.items)) if brand))


BRAND_PREFIX: Final = "brand:"


def echo_of(event: Event, person_id: int) -> Event:
    """
    What is told to the person who had shared what `event` was about; of the same person it would be no reach.

    Its key does not name who acted, so that nothing has to be erased with that person; by the sighting it stays the
    same when the person is told of under another id.
    """
    who = f"s{event.sighting_id}" if event.sighting_id else f"p{event.person_id}"
    digest = blake2b(f"{who}\0{event.key}".encode(), digest_size=16).hexdigest()
    return Event(person_id, f"echo:{digest}", event.behaviour, event.time_us, echo=True, origin="echo")


def order_key(order_id: str) -> str:
    """The key under which an order counts once, as behaviour event and as order alike."""
    return f"order:{order_id}"
