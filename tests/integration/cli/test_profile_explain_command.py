"""`bihuan profile explain` against a profile server as the local stack runs it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.app import app
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_shared.clock import DAY_US, to_timestamp

START_S = 60.0


@pytest.fixture
def state(tmp_path: Path, redis_url: str) -> Iterator[Path]:
    """The folder of a stack of which only profile runs, and knows a person whose relation to acme fell asleep."""
    folder = StateFolder(tmp_path)
    secrets = load_or_create(folder.secrets)
    home = folder.service("profile")
    home.mkdir()
    port_file, log = tmp_path / "port", tmp_path / "profile.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BIHUAN_")}
    own = {
        "BIHUAN_REDIS_URL": redis_url,
        "BIHUAN_LAKE_URL": str(folder.lake),
        "BIHUAN_CALLERS": secrets.callers_json(),
        "BIHUAN_PROFILE_STATE_DIR": str(home),
        "BIHUAN_PROFILE_PORT_FILE": str(port_file),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bihuan_profile"], env=inherited | own, stdout=output, stderr=output
        )
    deadline = time.monotonic() + START_S
    while not port_file.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    targets = {"profile": f"127.0.0.1:{port_file.read_text()}"}
    RunningStack("", targets, "system", os.getpid(), redis_url=redis_url).write(folder.stack)
    asyncio.run(_order(tmp_path))
    yield tmp_path
    process.terminate()
    assert process.wait(START_S) == 0


async def _order(state: Path) -> None:
    event = pb.BehaviourEvent(
        event_id="o1",
        person=common_pb2.PersonRef(person_id=7),
        behaviour=common_pb2.BEHAVIOUR_ORDER,
        event_time=to_timestamp(time.time_ns() // 1_000 - 100 * DAY_US),
        tags=["brand:[acme]"],
        consent=common_pb2.Consent(purposes=[common_pb2.PURPOSE_TARGETING]),
    )
    async with service_channel(state, "profile") as channel:
        await ProfileServiceStub(channel).IngestEvents(pb.IngestEventsRequest(events=[event]), timeout=START_S)


def explain(state: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["profile", "explain", *words, "--state", str(state)])


def test_operator_asks_why_a_person_is_dormant(state: Path) -> None:
    shown = explain(state, "7")
    assert shown.exit_code == 0, shown.output
    assert "relation:[acme] is dormant" in shown.output
    assert "orders: 1" in shown.output
    assert "0 withheld" in shown.output
    told = json.loads(explain(state, "7", "--subject", "relation:[acme]", "--json").output)
    assert [one["value"] for one in told["explanations"]] == ["dormant"]


def test_operator_sees_no_more_than_the_classes_and_purpose_asked_for(state: Path) -> None:
    told = json.loads(explain(state, "7", "--class", "transaction", "--json").output)
    assert [one["subject"] for one in told["explanations"]] == ["segment:lapsed"]
    assert told["withheld_count"] == 3
    assert "4 withheld" in explain(state, "7", "--purpose", "measurement").output
    assert explain(state, "7", "--class", "everything").exit_code == 2
