"""
Synthetic persons for identity, seeded: one to eight identifiers each, three on average.

A person logs in once on its first devices, which is one piece of evidence over several identifiers; each later device
is told together with the login, which is one piece over two.
"""

import base64
import hashlib
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb

SIZES = {1: 22, 2: 27, 3: 20, 4: 13, 5: 8, 6: 5, 7: 3, 8: 2}
"""Identifiers of a person, with how many of a hundred persons have so many; 2.95 on average."""
FIRST_DEVICES = 3
ITEMS_A_CALL = 1_000
DEVICES = ("cookie", "gaid", "email_sha256", "idfa")


def persons(identifiers: int, seed: int) -> Iterator[list[Identifier]]:
    """Persons that have `identifiers` identifiers together."""
    dice = random.Random(seed)
    left, number = identifiers, 0
    while left > 0:
        (size,) = dice.choices(list(SIZES), list(SIZES.values()))
        size = min(size, left)
        yield [_identifier(number, place) for place in range(size)]
        left -= size
        number += 1


def items_of(people: Iterable[list[Identifier]]) -> int:
    """How many items tell these persons."""
    return sum(1 + max(0, len(person) - FIRST_DEVICES) for person in people)


def requests(people: Iterator[list[Identifier]]) -> Iterator[pb.BatchResolveRequest]:
    """The calls that make these persons: first what is seen at the login, then each later device beside the login."""
    items: list[pb.ResolveItem] = []
    for person in people:
        groups = [person[:FIRST_DEVICES], *([person[0], later] for later in person[FIRST_DEVICES:])]
        items += (pb.ResolveItem(identifiers=group, create=True) for group in groups)
        if len(items) >= ITEMS_A_CALL:
            yield pb.BatchResolveRequest(items=items[:ITEMS_A_CALL])
            items = items[ITEMS_A_CALL:]
    if items:
        yield pb.BatchResolveRequest(items=items)


def lookups(known: Sequence[Identifier], count: int, seed: int) -> list[pb.BatchResolveRequest]:
    """Calls that each look up a thousand identifiers drawn from `known`, one an item."""
    dice = random.Random(seed)
    return [
        pb.BatchResolveRequest(items=[pb.ResolveItem(identifiers=[one]) for one in dice.choices(known, k=ITEMS_A_CALL)])
        for _ in range(count)
    ]


def _identifier(person: int, place: int) -> Identifier:
    if place == 0:
        return Identifier(namespace="login", value=f"user-{person}")
    namespace = DEVICES[(person + place) % len(DEVICES)]
    digest = hashlib.sha256(f"{person}:{place}".encode()).digest()
    match namespace:
        case "cookie":
            value = digest[:12].hex()
        case "email_sha256":
            value = base64.b64encode(digest).decode()
        case _:
            value = str(uuid.UUID(bytes=digest[:16], version=4))
    return Identifier(namespace=namespace, value=value)
