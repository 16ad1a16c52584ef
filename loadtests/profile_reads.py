"""
Bytes a profile and reads a second, beside the naive layout, on the same population.

Profiles are made through the service, of attributes and of behaviour as a shop has it. The server has one core of its
own; client and Valkey share the other.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import grpc
import numpy as np
from naive_profile import naive_fields, naive_key
from profile_population import BEHAVIOURS, CATEGORIES, chunks
from profile_process import ProfileProcess
from redis.asyncio import Redis

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_profile.profile_store.in_redis import blob_key
from bihuan_shared.clock import DAY_US, MINUTE_US, to_timestamp
from bihuan_shared.embedded import tied_to_parent

INTERESTS: Final = 6
ATTRIBUTES: Final = ("age", "gender", "region", "device_type")
AGES: Final = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
REGIONS: Final = ("DE-BE", "DE-BY", "US-CA", "US-NY", "GB-LND", "CN-SH")
DEVICES: Final = ("desktop", "phone", "tablet")
SINGLE_AT_ONCE: Final = 64
BATCH_AT_ONCE: Final = 2
BATCH: Final = 500
BROWSING: Final = 5
"""The first so many behaviours are browsing; what follows is buying."""
TIMEOUT_S: Final = 60.0
CONSENT: Final = common.Consent(
    purposes=[common.PURPOSE_TARGETING],
    data_classes=[common.DATA_CLASS_REGISTRATION, common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION],
)


async def fill(server: ProfileProcess, persons: Sequence[int], seed: int, *, with_order: bool) -> None:
    """
    Make profiles of ten tags: 4 attributes, told in one go, and 6 interests.

    The interests come of 8 to 20 events in up to four visits of the last 30 days, 12 minutes each at most. `with_order`
    adds one order of one thing in one of the six categories.
    """
    chance = np.random.default_rng(seed)
    now_us = time.time_ns() // 1_000
    for part in chunks(persons, 50):
        events = [event for person in part for event in _events(chance, person, now_us, with_order=with_order)]
        for some in (events[start : start + 1_000] for start in range(0, len(events), 1_000)):
            answer = await server.call(server.stub.IngestEvents, pb.IngestEventsRequest(events=some), TIMEOUT_S)
            assert all(result.outcome == pb.INGEST_OUTCOME_ACCEPTED for result in answer.results)
        updates = [_update(chance, person, now_us) for person in part]
        await server.call(server.stub.SetAttributes, pb.SetAttributesRequest(updates=updates), TIMEOUT_S)


def _events(chance: np.random.Generator, person: int, now_us: int, *, with_order: bool) -> list[pb.BehaviourEvent]:
    topics = chance.choice(len(CATEGORIES), INTERESTS, replace=False).tolist()
    count = int(chance.integers(8, 21))
    visits_us = now_us - (chance.random(int(chance.integers(1, 5))) * 30 * DAY_US).astype(np.int64)
    events = []
    for number in range(count):
        topic = topics[number] if number < INTERESTS else topics[int(chance.integers(INTERESTS))]
        kind = int(chance.choice(BROWSING, p=[0.64, 0.12, 0.12, 0.05, 0.07]))
        at_us = int(chance.choice(visits_us)) - int(chance.integers(12 * MINUTE_US))
        events.append(_event(person, number, BEHAVIOURS[kind], topic, at_us))
    if with_order:
        bought = _event(person, count, "order", topics[0], int(visits_us[0]))
        bought.amount.CopyFrom(common.Money(currency="EUR", micros=10_000 * int(chance.integers(500, 9_999))))
        bought.items.add(category=CATEGORIES[topics[0]], quantity=1)
        events.append(bought)
    return events


def _event(person: int, number: int, behaviour: str, topic: int, at_us: int) -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=f"{person}-{number}",
        person=common.PersonRef(person_id=person),
        behaviour=common.Behaviour.Value(f"BEHAVIOUR_{behaviour.upper()}"),
        # Browsers and shops tell milliseconds.
        event_time=to_timestamp(at_us // 1_000 * 1_000),
        tags=[f"category:{CATEGORIES[topic]}"],
        consent=CONSENT,
        sighting_id=person * 7 + 1,
    )


def _update(chance: np.random.Generator, person: int, now_us: int) -> pb.AttributeUpdate:
    values = (chance.choice(AGES), chance.choice(["f", "m"]), chance.choice(REGIONS), chance.choice(DEVICES))
    return pb.AttributeUpdate(
        person=common.PersonRef(person_id=person),
        sighting_id=person * 7 + 1,
        attributes=[
            pb.Attribute(name=name, text=str(value), update_time=to_timestamp(now_us))
            for name, value in zip(ATTRIBUTES, values, strict=True)
        ],
    )


async def blob_bytes(redis: Redis, persons: Sequence[int]) -> dict[str, float]:
    """What the engine takes for each key with its value: mean, and the largest."""
    return await _memory(redis, [blob_key(person) for person in persons])


async def _memory(redis: Redis, keys: Sequence[str]) -> dict[str, float]:
    async with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.memory_usage(key, samples=0)
        sizes = await pipeline.execute()
    return {"mean": round(float(np.mean(sizes)), 1), "max": float(max(sizes))}


async def naive_copy(server: ProfileProcess, redis: Redis, persons: Sequence[int]) -> dict[str, float]:
    """Write the same attributes and interests the naive way; what the engine takes for each."""
    for part in chunks(persons, BATCH):
        answer = await server.call(server.stub.BatchGetProfiles, _batch(part), TIMEOUT_S)
        async with redis.pipeline(transaction=False) as pipeline:
            for profile in answer.profiles:
                fields = naive_fields(profile)
                assert len(fields) == len(ATTRIBUTES) + INTERESTS
                pipeline.hset(naive_key(profile.person_id), mapping=fields)
            await pipeline.execute()
    return await _memory(redis, [naive_key(person) for person in persons])


async def single_rate(stub: ProfileServiceStub, persons: Sequence[int], calls: int, seed: int) -> float:
    """Profiles a second by unary GetProfile, 64 callers at once."""
    chosen = np.random.default_rng(seed).choice(persons, calls).tolist()
    requests = [
        pb.GetProfileRequest(
            person=common.PersonRef(person_id=person), purpose=common.PURPOSE_TARGETING, consent=CONSENT
        )
        for person in chosen
    ]

    async def ask(at: int) -> None:
        answer = await stub.GetProfile(requests[at], timeout=TIMEOUT_S)
        assert len(answer.profile.interests) == INTERESTS

    return await _rate(calls, SINGLE_AT_ONCE, ask)


async def batch_rate(stub: ProfileServiceStub, persons: Sequence[int], calls: int, seed: int) -> float:
    """Profiles a second by BatchGetProfiles of 500, two callers at once."""
    chance = np.random.default_rng(seed)
    requests = [_batch(chance.choice(persons, BATCH).tolist()) for _ in range(calls)]

    async def ask(at: int) -> None:
        answer = await stub.BatchGetProfiles(requests[at], timeout=TIMEOUT_S)
        assert len(answer.profiles[-1].interests) == INTERESTS

    return await _rate(calls, BATCH_AT_ONCE, ask) * BATCH


def _batch(persons: Sequence[int]) -> pb.BatchGetProfilesRequest:
    return pb.BatchGetProfilesRequest(
        queries=[
            pb.ProfileQuery(
                person=common.PersonRef(person_id=person), purpose=common.PURPOSE_TARGETING, consent=CONSENT
            )
            for person in persons
        ]
    )


async def naive_rate(redis_url: str, persons: Sequence[int], calls: int, seed: int, *, core: int | None) -> float:
    """Profiles a second by unary GetProfile of the naive server, 64 callers at once."""
    script = str(Path(__file__).with_name("naive_profile.py"))
    process = await asyncio.create_subprocess_exec(
        *tied_to_parent([sys.executable, script, redis_url]), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    if core is not None:
        # Before it answers it has one thread, whose core those to come take over.
        os.sched_setaffinity(process.pid, {core})
    port = int(await process.stdout.readline())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        rate = await single_rate(ProfileServiceStub(channel), persons, calls, seed)
    process.kill()
    await process.wait()
    return rate


async def _rate(count: int, at_once: int, call: Callable[[int], Awaitable[None]]) -> float:
    """Calls a second, after the first tenth of them."""
    warm_up = max(1, count // 10)
    for at in range(warm_up):
        await call(at)
    numbers = iter(range(warm_up, count))

    async def one_after_the_other() -> None:
        for at in numbers:
            await call(at)

    began_s = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return (count - warm_up) / (time.perf_counter() - began_s)
