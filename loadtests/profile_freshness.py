"""
How soon a read tells what was posted: `POST /v1/events` of the gateway until `BatchGetProfiles` of profile shows it.

The load is open: batches go out when they are due, whether or not earlier ones were answered, and freshness counts from
when a batch was due. Marker events, each of a person of its own, are asked for again and again until they are seen.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np
import psutil
from profile_population import MARKER_TAG, Batch, Traffic, batches, chunks, marked, visitor

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.local import LocalStack, local_stack

POLL_S: Final = 0.005
MOST_ASKED: Final = 40
"""Markers asked for at once, the oldest first: two seconds of them, so that asking does not become the load."""
LEAD_S: Final = 1.0
REPEAT_S: Final = 0.1
PATIENCE_S: Final = 60.0
CONNECTIONS: Final = 64
AGREED: Final = common_pb2.Consent(
    purposes=[common_pb2.PURPOSE_TARGETING],
    data_classes=[common_pb2.DATA_CLASS_REGISTRATION, common_pb2.DATA_CLASS_OPERATION],
)


@dataclass(slots=True)
class Tally:
    """What the run has seen so far. `due_s` and `seen_s` are by marker, on the clock of the loop."""

    taken: int = 0
    repeated: int = 0
    refused: int = 0
    answered_s: float = 0.0
    post_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    due_s: dict[int, float] = field(default_factory=dict)
    seen_s: dict[int, float] = field(default_factory=dict)
    sent: bool = False


async def freshness(traffic: Traffic, seed: int, state: Path) -> dict[str, object]:
    """Bring a stack up, run the traffic through it, and tell how fresh reads were."""
    async with local_stack(state, clock="system", say=lambda _: None) as stack:
        persons = await _known_persons(stack, traffic)
        start_us = time.time_ns() // 1_000 + round(LEAD_S * 1e6)
        todo = list(batches(traffic, start_us, seed))
        tally = Tally()
        before = _cpu_s(stack)
        began_s = time.monotonic()
        async with (
            service_channel(state, "profile") as channel,
            asyncio.timeout(traffic.duration_s + PATIENCE_S),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(_watch(ProfileServiceStub(channel), persons, tally))
            group.create_task(_send(stack, todo, tally))
        took_s = time.monotonic() - began_s
        used_s = {name: after - before[name] for name, after in _cpu_s(stack).items()}
        return _summary(traffic, todo, tally) | {
            "cores_by_process": {name: round(one_s / took_s, 2) for name, one_s in used_s.items()},
            # What others do on the machine shows less in this.
            "cpu_us_an_event": {name: round(one_s * 1e6 / tally.taken) for name, one_s in used_s.items()},
        }


async def _known_persons(stack: LocalStack, traffic: Traffic) -> dict[int, int]:
    """Everybody is known to identity; the persons of the markers by their numbers."""
    markers = list(range(round(traffic.markers_per_s * traffic.duration_s) + 1))
    async with service_channel(stack.folder.root, "identity") as channel:
        stub = IdentityServiceStub(channel)
        for numbers in chunks(range(traffic.persons), 1_000):
            await _resolve(stub, [visitor(number) for number in numbers])
        found: dict[int, int] = {}
        for numbers in chunks(markers, 1_000):
            found |= dict(zip(numbers, await _resolve(stub, [marked(number) for number in numbers]), strict=True))
    return found


async def _resolve(stub: IdentityServiceStub, identifiers: Sequence[dict[str, str]]) -> list[int]:
    items = [
        identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(**identifier)], create=True)
        for identifier in identifiers
    ]
    answer = await stub.BatchResolve(identity_pb2.BatchResolveRequest(items=items), timeout=30.0)
    return [result.person_id for result in answer.results]


async def _send(stack: LocalStack, todo: Sequence[Batch], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    headers = {"authorization": f"Bearer {stack.secrets.admin_key}", "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(stack.running.gateway_url, headers=headers, connector=connector) as session:
        start_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for batch in todo:
                due_s = start_s + batch.due_s
                if due_s > loop.time():
                    await asyncio.sleep(due_s - loop.time())
                for marker in batch.markers:
                    tally.due_s[marker] = due_s
                tally.late_ms.append((loop.time() - due_s) * 1e3)
                group.create_task(_post(session, batch, due_s, tally))
        tally.answered_s = loop.time() - start_s
    tally.sent = True


async def _post(session: aiohttp.ClientSession, batch: Batch, due_s: float, tally: Tally) -> None:
    """Send until it is taken, as a shop's server does: a repeat is harmless, and its time counts."""
    while True:
        async with session.post("/v1/events", data=batch.body) as response:
            raw, status = await response.read(), response.status
        if status == HTTPStatus.OK:
            break
        if status not in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            raise RuntimeError(f"{status}: {raw[:500]!r}")
        tally.repeated += 1
        await asyncio.sleep(REPEAT_S)
    tally.post_ms.append((asyncio.get_running_loop().time() - due_s) * 1e3)
    tally.taken += raw.count(b'"accepted"') + raw.count(b'"duplicate"')
    tally.refused += raw.count(b'"rejected"')


async def _watch(stub: ProfileServiceStub, persons: dict[int, int], tally: Tally) -> None:
    """Ask for the markers that are out until each was seen."""
    loop = asyncio.get_running_loop()
    while not (tally.sent and len(tally.seen_s) == len(tally.due_s)):
        await asyncio.sleep(POLL_S)
        waiting = [marker for marker in tally.due_s if marker not in tally.seen_s][:MOST_ASKED]
        if waiting:
            queries = [
                profile_pb2.ProfileQuery(
                    person=common_pb2.PersonRef(person_id=persons[marker]),
                    purpose=common_pb2.PURPOSE_TARGETING,
                    consent=AGREED,
                )
                for marker in waiting
            ]
            answer = await stub.BatchGetProfiles(profile_pb2.BatchGetProfilesRequest(queries=queries), timeout=30.0)
            now_s = loop.time()
            for marker, profile in zip(waiting, answer.profiles, strict=True):
                if any(interest.tag == f"{MARKER_TAG}{marker}" for interest in profile.interests):
                    tally.seen_s[marker] = now_s


def _summary(traffic: Traffic, todo: Sequence[Batch], tally: Tally) -> dict[str, object]:
    fresh_ms = np.array([tally.seen_s[marker] - tally.due_s[marker] for marker in tally.due_s]) * 1e3
    return {
        "events_per_s_asked": traffic.events_per_s,
        "events_per_s": round(tally.taken / max(traffic.duration_s, tally.answered_s)),
        "events_taken": tally.taken,
        "events_refused": tally.refused,
        "posts_repeated": tally.repeated,
        "events_a_batch": traffic.events_a_batch,
        "freshness_p50_ms": round(float(np.quantile(fresh_ms, 0.5)), 1),
        "freshness_p99_ms": round(float(np.quantile(fresh_ms, 0.99)), 1),
        "freshness_max_ms": round(float(fresh_ms.max()), 1),
        "markers": len(fresh_ms),
        "post_p50_ms": round(float(np.quantile(tally.post_ms, 0.5)), 1),
        "post_p99_ms": round(float(np.quantile(tally.post_ms, 0.99)), 1),
        "sent_late_p99_ms": round(float(np.quantile(tally.late_ms, 0.99)), 1),
        "bytes_a_batch": round(float(np.mean([len(batch.body) for batch in todo]))),
    }


def _cpu_s(stack: LocalStack) -> dict[str, float]:
    """Processor seconds by process, the client among them."""
    used = {name: psutil.Process(pid).cpu_times() for name, pid in stack.running.pids.items()}
    used["client"] = psutil.Process().cpu_times()
    return {name: times.user + times.system for name, times in used.items()}
