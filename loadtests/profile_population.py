"""A synthetic, seeded shop: its visitors, what they do, and the batches in which the shop's servers tell it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from bihuan_shared.clock import format_rfc3339

CATEGORIES: Final = (
    "tea", "coffee", "kettles", "running-shoes", "books", "garden", "toys", "skin-care", "headphones", "phones",
    "laptops", "sofas", "lamps", "bedding", "cookware", "snacks", "wine", "cycling", "camping", "jackets", "dresses",
    "jeans", "watches", "perfume", "vitamins", "pet-food", "stationery", "board-games", "tools", "bags",
)  # fmt: skip
BEHAVIOURS: Final = ("view", "search", "click", "favourite", "cart", "order")
SHARES: Final = (0.62, 0.12, 0.12, 0.04, 0.07, 0.03)
CONSENT: Final = {
    "purposes": ["targeting", "measurement"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "cmp",
}
NEW_SHARE: Final = 0.02
"""Events of somebody who was never seen before."""
MARKER_TAG: Final = "marker:"


@dataclass(frozen=True, slots=True)
class Batch:
    """One POST: when it is due, in seconds from the start, its body, and the marker events in it."""

    due_s: float
    body: bytes
    markers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """How fast, how long, and in which portions."""

    events_per_s: int
    duration_s: float
    events_a_batch: int
    markers_per_s: float
    persons: int


def visitor(number: int) -> dict[str, str]:
    """The identifier of a visitor."""
    return {"namespace": "cookie", "value": f"visitor-{number:08d}"}


def marked(number: int) -> dict[str, str]:
    """The identifier of the person of a marker event."""
    return {"namespace": "cookie", "value": f"marked-{number:06d}"}


def batches(traffic: Traffic, start_us: int, seed: int) -> Iterator[Batch]:
    """
    Batches in the order in which they are due; the events of one happened in the moments before it.

    A few visitors do most (weights of a Pareto law); each marker event is of a person of its own.
    """
    chance = np.random.default_rng(seed)
    weights = chance.pareto(1.5, traffic.persons) + 0.1
    chosen = weights / weights.sum()
    count = round(traffic.duration_s * traffic.events_per_s / traffic.events_a_batch)
    spacing_s = traffic.events_a_batch / traffic.events_per_s
    marker = 0
    for number in range(count):
        due_s = number * spacing_s
        markers = []
        while marker < due_s * traffic.markers_per_s:
            markers.append(marker)
            marker += 1
        persons = chance.choice(traffic.persons, traffic.events_a_batch - len(markers), p=chosen)
        events = _events(chance, persons, f"e{seed}-{number}", start_us + round(due_s * 1e6))
        events += [_marker_event(one, start_us + round(due_s * 1e6)) for one in markers]
        yield Batch(due_s, msgspec.json.encode({"events": events}), tuple(markers))


def _events(
    chance: np.random.Generator, persons: npt.NDArray[np.int64], prefix: str, until_us: int
) -> list[dict[str, object]]:
    kinds = chance.choice(len(BEHAVIOURS), len(persons), p=SHARES)
    topics = chance.zipf(1.6, len(persons)) % len(CATEGORIES)
    fresh = chance.random(len(persons)) < NEW_SHARE
    events: list[dict[str, object]] = []
    for place, (person, kind, topic) in enumerate(zip(persons.tolist(), kinds.tolist(), topics.tolist(), strict=True)):
        event: dict[str, object] = {
            "event_id": f"{prefix}-{place}",
            "identifiers": [
                {"namespace": "cookie", "value": f"new-{prefix}-{place}"} if fresh[place] else visitor(person)
            ],
            "behaviour": BEHAVIOURS[kind],
            "event_time": format_rfc3339(until_us // 1_000 * 1_000 - (len(persons) - place) * 1_000),
            "tags": [f"category:{CATEGORIES[topic]}", f"brand:b{(topic * 7 + person) % 20}"][: 1 + (person % 2)],
            "consent": CONSENT,
        }
        if BEHAVIOURS[kind] == "order":
            event["amount"] = {"currency": "EUR", "micros": 19_900_000 + (person % 50) * 100_000}
        events.append(event)
    return events


def _marker_event(number: int, time_us: int) -> dict[str, object]:
    return {
        "event_id": f"marker-{number}",
        "identifiers": [marked(number)],
        "behaviour": "view",
        "event_time": format_rfc3339(time_us),
        "tags": [f"{MARKER_TAG}{number}"],
        "consent": CONSENT,
    }


def chunks(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Portions of at most `size`."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
