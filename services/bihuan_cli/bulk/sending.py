"""
One batch of rows: who they are about, then what they say.

A row at fault is taken out by the path that the service names, and the rest is sent again; where a service refuses a
whole batch without naming one (an erased person among attributes), the batch is halved until only that one is refused.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_cli.bulk.rows import Identifier, LoadRow, Rejection
from bihuan_shared.errors import (
    BihuanError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

if TYPE_CHECKING:
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

CALL_TIMEOUT_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 5.0
NOT_RESOLVED: Final = "NOT_RESOLVED"
TIME_OUT_OF_RANGE: Final = "TIME_OUT_OF_RANGE"
_PATH: Final = re.compile(r"(?:items|events|updates)\[(\d+)\]\.?(.*)")
_COLUMNS: Final = (
    ("identifiers[0].namespace", "namespace"), ("identifiers", "identifier"), ("amount.currency", "currency"),
    ("amount", "amount_micros"), ("attributes[0].name", "attribute"), ("attributes[0].update_time", "update_time"),
    ("attributes", "value"), ("consent.source", "consent_source"), ("consent.data_classes", "consent_data_classes"),
    ("consent", "consent_purposes"), ("person", "person_id"),
)  # fmt: skip
_REASON_COLUMNS: Final = {TIME_OUT_OF_RANGE: "event_time", "NO_CONSENT": "consent_purposes"}

_T = TypeVar("_T")
_Request = TypeVar("_Request")


@dataclass(slots=True)
class Taken:
    """What became of the rows of one batch."""

    accepted: int = 0
    duplicates: int = 0
    attributes: int = 0
    changed_attributes: int = 0
    rejected: list[Rejection] = field(default_factory=list)


class Sender:
    """Sends batches of at most 1,000 rows to identity and profile; tries again through outages of `patience_s`."""

    def __init__(
        self,
        identity: "IdentityServiceAsyncStub",
        profile: "ProfileServiceAsyncStub",
        *,
        patience_s: float,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._identity = identity
        self._profile = profile
        self._patience_s = patience_s
        self._pause = pause
        self._random = random.Random()  # noqa: S311  # spreads load, no more

    async def send(self, rows: Sequence[LoadRow]) -> Taken:
        """
        Take in what the rows say; repeating it is harmless.

        Raises Unavailable, ResourceExhausted or DeadlineExceeded where a service is away for too long.
        """
        taken = Taken()
        known = await self._resolve(rows, taken)
        events = [(row, message) for row in known if isinstance(message := row.message, pb.BehaviourEvent)]
        updates = [(row, message) for row in known if isinstance(message := row.message, pb.AttributeUpdate)]
        await self._ingest(events, taken)
        await self._set(updates, taken)
        taken.rejected.sort(key=lambda one: one.row)
        return taken

    async def _resolve(self, rows: Sequence[LoadRow], taken: Taken) -> list[LoadRow]:
        """The rows whose person is known, which stands in their messages now."""
        wanted = list(dict.fromkeys(row.who for row in rows if isinstance(row.who, Identifier)))
        found: dict[Identifier, identity_pb2.ResolveResult] = {}
        refused: dict[Identifier, tuple[str, str, str]] = {}

        async def ask(batch: Sequence[Identifier]) -> None:
            items = [
                identity_pb2.ResolveItem(
                    identifiers=[common_pb2.Identifier(namespace=one.namespace, value=one.value)], create=True
                )
                for one in batch
            ]
            request = identity_pb2.BatchResolveRequest(items=items)
            answer = await self._call(self._identity.BatchResolve, request)
            found.update(zip(batch, answer.results, strict=True))

        await _without_the_wrong(wanted, ask, refused.__setitem__)
        known = []
        for row in rows:
            who = row.who
            if isinstance(who, int):
                row.message.person.person_id = who
                known.append(row)
            elif who in refused:
                taken.rejected.append(Rejection(row.row, *refused[who]))
            elif found[who].person_id:
                row.message.person.person_id = found[who].person_id
                row.message.sighting_id = found[who].sighting_id
                known.append(row)
            else:
                taken.rejected.append(Rejection(row.row, "identifier", NOT_RESOLVED, "may not be known"))
        return known

    async def _ingest(self, events: Sequence[tuple[LoadRow, pb.BehaviourEvent]], taken: Taken) -> None:
        async def ask(batch: Sequence[tuple[LoadRow, pb.BehaviourEvent]]) -> None:
            request = pb.IngestEventsRequest(events=[event for _, event in batch])
            answer = await self._call(self._profile.IngestEvents, request)
            for (row, _), result in zip(batch, answer.results, strict=True):
                if result.outcome == pb.INGEST_OUTCOME_ACCEPTED:
                    taken.accepted += 1
                elif result.outcome == pb.INGEST_OUTCOME_DUPLICATE:
                    taken.duplicates += 1
                else:
                    column = _REASON_COLUMNS.get(result.reason, "person_id")
                    taken.rejected.append(Rejection(row.row, column, result.reason))

        def refuse(one: tuple[LoadRow, pb.BehaviourEvent], why: tuple[str, str, str]) -> None:
            taken.rejected.append(Rejection(one[0].row, *why))

        await _without_the_wrong(events, ask, refuse)

    async def _set(self, updates: Sequence[tuple[LoadRow, pb.AttributeUpdate]], taken: Taken) -> None:
        async def ask(batch: Sequence[tuple[LoadRow, pb.AttributeUpdate]]) -> None:
            request = pb.SetAttributesRequest(updates=[update for _, update in batch])
            taken.changed_attributes += (await self._call(self._profile.SetAttributes, request)).changed_count
            taken.attributes += len(batch)

        def refuse(one: tuple[LoadRow, pb.AttributeUpdate], why: tuple[str, str, str]) -> None:
            taken.rejected.append(Rejection(one[0].row, *why))

        await _without_the_wrong(updates, ask, refuse)

    async def _call(self, method: Callable[..., Awaitable[_T]], request: _Request) -> _T:
        loop = asyncio.get_running_loop()
        give_up_s, pause_s = loop.time() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                return await method(request, timeout=CALL_TIMEOUT_S)
            except (Unavailable, ResourceExhausted, DeadlineExceeded):
                if loop.time() > give_up_s:
                    raise
            await self._pause(self._random.uniform(pause_s / 2, pause_s))
            pause_s = min(LAST_PAUSE_S, 2 * pause_s)


async def _without_the_wrong(
    items: Sequence[_T],
    ask: Callable[[Sequence[_T]], Awaitable[None]],
    refuse: Callable[[_T, tuple[str, str, str]], None],
) -> None:
    """Ask for items until no wrong one is among them; each round takes out at least one, or halves the batch."""
    batches = [items] if items else []
    while batches:
        batch = batches.pop()
        try:
            await ask(batch)
        except (InvalidArgument, FailedPrecondition) as error:
            wrong = _named(error, len(batch))
            if len(batch) == 1 and not wrong:
                wrong = {0: ("person_id", error.reason, "")}
            for place, why in wrong.items():
                refuse(batch[place], why)
            rest = [one for place, one in enumerate(batch) if place not in wrong]
            middle = len(rest) if wrong else len(rest) // 2
            batches += [part for part in (rest[middle:], rest[:middle]) if part]


def _named(error: BihuanError, count: int) -> dict[int, tuple[str, str, str]]:
    """Column, reason and detail by the place of each item that an error names; the first of each counts."""
    wrong: dict[int, tuple[str, str, str]] = {}
    for violation in error.violations:
        match = _PATH.match(violation.field)
        if match is not None and int(match[1]) < count:
            wrong.setdefault(int(match[1]), (_column(match[2]), error.reason, violation.description))
    return wrong


def _column(path: str) -> str:
    """The column that a field of a message came from."""
    for start, column in _COLUMNS:
        if path.startswith(start):
            return column
    return re.split(r"[.\[]", path, maxsplit=1)[0] or "row"
