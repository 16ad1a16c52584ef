"""Several processes of profile: one builds the population, all tell the same of it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.record import EMPTY, fold
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.use_cases.ports import Change
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import DAY_US
from bihuan_shared.embedded import tied_to_parent
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.rpc.client import open_channel

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

SECRET = "secret of the test"
PERSONS = 200
START_S = 60.0
CONSENT = common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_TRANSACTION])

StartProcess = Callable[[str, str], Awaitable["ProfileServiceAsyncStub"]]


@pytest.fixture
async def start_process(tmp_path: Path) -> AsyncIterator[StartProcess]:
    """Starts a server of its own process, by name, over the engine at a URL."""
    callers = json.dumps([asdict(Credential("test", Role.INTERNAL, secret_sha256(SECRET)))])
    async with AsyncExitStack() as stack:

        async def start(name: str, redis_url: str) -> "ProfileServiceAsyncStub":
            port_file = tmp_path / f"{name}.port"
            environment = {
                "BIHUAN_STATE_DIR": str(tmp_path / name),
                "BIHUAN_REDIS_URL": redis_url,
                "BIHUAN_CALLERS": callers,
                "BIHUAN_PROFILE_CONSUME": "false",
                "BIHUAN_PROFILE_PORT_FILE": str(port_file),
            }
            process = _serve({**os.environ, **environment})
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            async with asyncio.timeout(START_S):
                while not port_file.exists():
                    assert process.poll() is None
                    await asyncio.sleep(0.02)
            channel = open_channel(f"127.0.0.1:{port_file.read_text()}", secret=SECRET, service="profile")
            stack.push_async_callback(channel.close)
            return ProfileServiceStub(channel)

        yield start


def _serve(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        tied_to_parent([sys.executable, "-m", "bihuan_profile"]),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _buyers(client: RedisClient) -> None:
    now_us = time.time_ns() // 1_000

    def orders(person_id: int) -> list[Event]:
        amount = Amount("USD", person_id * 1_000_000)
        return [
            Event(person_id, f"order:{i}", Behaviour.ORDER, now_us - (PERSONS - person_id + i) * DAY_US, amount=amount)
            for i in range(1 + person_id % 3)
        ]

    changes = [Change(one, 0, fold(EMPTY, orders(one))) for one in range(1, PERSONS + 1)]
    assert all(await RedisProfileStore(client).compare_and_set(changes))


async def _placed(stub: "ProfileServiceAsyncStub", person_id: int) -> pb.Profile:
    """The profile of a person, once the server has a population."""
    query = pb.GetProfileRequest(
        person=common.PersonRef(person_id=person_id), purpose=common.PURPOSE_TARGETING, consent=CONSENT
    )
    async with asyncio.timeout(START_S):
        while True:
            profile = (await stub.GetProfile(query)).profile
            if profile.rfm.recency_quintile:
                return profile
            await asyncio.sleep(0.02)


async def test_one_of_two_processes_builds_what_both_tell(start_process: StartProcess, redis_url: str) -> None:
    client = await open_redis(redis_url)
    await _buyers(client)
    await client.config_resetstat()
    stubs = await asyncio.gather(start_process("one", redis_url), start_process("two", redis_url))
    told = [[await _placed(stub, person_id) for person_id in (1, 100, PERSONS)] for stub in stubs]
    for first, other in zip(*told, strict=True):
        assert first.rfm.recency_quintile == other.rfm.recency_quintile
        assert {a.name: a.update_time.ToMicroseconds() for a in first.attributes} == {
            a.name: a.update_time.ToMicroseconds() for a in other.attributes
        }
    lowest, _, highest = told[0]
    assert (lowest.rfm.recency_quintile, lowest.rfm.monetary_quintile, lowest.rfm.price_band) == (1, 1, "low")
    assert (highest.rfm.recency_quintile, highest.rfm.monetary_quintile, highest.rfm.price_band) == (5, 5, "high")
    assert highest.rfm.expected_spend.currency == "USD"
    assert highest.rfm.expected_spend.micros > 0
    assert 0 < highest.rfm.alive_probability <= 1
    assert {a.name for a in highest.attributes} == {
        "rfm_recency", "rfm_frequency", "rfm_monetary", "ltv_90d", "price_band",
    }  # fmt: skip
    # Whoever publishes does so by one EVAL, and nothing else does.
    assert (await client.info("commandstats"))["cmdstat_eval"]["calls"] == 1
    await client.aclose()
