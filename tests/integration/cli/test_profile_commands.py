"""`bihuan profile load` and `export` against identity and profile servers as the local stack runs them."""

import asyncio
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.app import app
from bihuan_cli.bulk.checkpoint import beside
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.plan import Engines, plan_stack
from bihuan_cli.stack.secrets import load_or_create
from bihuan_shared.clock import DAY_US, HOUR_US, format_rfc3339

START_S = 60.0
SECRET = "secret-user-"
COLUMNS = (
    "namespace", "identifier", "event_id", "behaviour", "event_time", "tags", "attribute", "value", "update_time",
    "consent_purposes", "consent_data_classes",
)  # fmt: skip


@pytest.fixture
def state(tmp_path: Path, redis_url: str) -> Iterator[Path]:
    """The folder of a stack of which only identity and profile run."""
    root = tmp_path / "state"
    root.mkdir()
    folder = StateFolder(root)
    engines = Engines(redis_url, None, str(folder.lake))
    plans = plan_stack(folder, load_or_create(folder.secrets), engines, clock="system", inherited=os.environ)
    with contextlib.ExitStack() as stack:
        targets = {}
        for plan in plans:
            if plan.name in ("identity", "profile"):
                port_file = root / f"{plan.name}.port"
                environment = {**plan.environment, f"BIHUAN_{plan.name.upper()}_PORT_FILE": str(port_file)}
                with (root / f"{plan.name}.log").open("wb") as log:
                    process = subprocess.Popen(plan.command, env=environment, stdout=log, stderr=log)
                stack.callback(_end, process)
                _await_file(port_file, process)
                targets[plan.name] = f"127.0.0.1:{port_file.read_text()}"
        RunningStack("", targets, "system", os.getpid(), redis_url=redis_url).write(folder.stack)
        yield root


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(START_S)


def _await_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _run(state: Path, *words: str) -> dict[str, object]:
    ended = CliRunner().invoke(app, ["profile", *words, "--state", str(state), "--json"])
    assert ended.exit_code == 0, ended.output
    assert SECRET not in ended.output
    found: dict[str, object] = json.loads(ended.stdout)
    return found


def _event(number: int, now_us: int) -> dict[str, object]:
    return {
        "namespace": "login",
        "identifier": f"{SECRET}{number % 20}",
        "event_id": f"e{number}",
        "behaviour": "view",
        "event_time": format_rfc3339(now_us - (number % 24) * HOUR_US),
        "tags": f"category:{number % 3}|brand:acme",
        "consent_purposes": "targeting",
        "consent_data_classes": "operation",
    }


def _write(path: Path, lines: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_loaded_rows_are_profiles_and_wrong_rows_are_told_without_values(state: Path, tmp_path: Path) -> None:
    now_us = time.time_ns() // 1_000
    lines = [_event(number, now_us) for number in range(60)]
    lines[5]["event_time"] = format_rfc3339(now_us + DAY_US)
    lines[6]["event_time"] = format_rfc3339(now_us - 401 * DAY_US)
    lines[7]["consent_purposes"] = ""
    lines[8]["tags"] = "x" * 97
    lines[9]["namespace"] = "no.such_namespace"
    gender: dict[str, object] = {"namespace": "login", "attribute": "gender", "consent_purposes": "targeting"}
    for number in range(20):
        value = "quite-unlikely" if number == 3 else "f"
        lines.append(
            gender | {"identifier": f"{SECRET}{number}", "value": value, "update_time": format_rfc3339(now_us)}
        )
    file = _write(tmp_path / "in.csv", lines)
    first = _run(state, "load", str(file))
    assert (first["accepted"], first["attributes"], first["rejected"]) == (55, 19, 6)
    with beside(file, ".rejected.csv").open(newline="") as rejected:
        told = [(int(row["row"]), row["field"], row["reason"]) for row in csv.DictReader(rejected)]
    assert told == [
        (6, "event_time", "TIME_OUT_OF_RANGE"),
        (7, "event_time", "TIME_OUT_OF_RANGE"),
        (8, "consent_purposes", "NO_CONSENT"),
        (9, "tags", "INVALID_FIELD"),
        (10, "namespace", "INVALID_FIELD"),
        (64, "value", "INVALID_FIELD"),
    ]
    text = beside(file, ".rejected.csv").read_text()
    assert SECRET not in text
    assert "quite-unlikely" not in text
    made = [_run(state, "rebuild", str(number)) for number in range(1, 21)]
    assert sum(int(str(one["events"])) for one in made) == 55
    assert sum(int(str(one["attributes"])) for one in made) == 19
    again = _run(state, "load", str(file))
    assert (again["accepted"], again["duplicates"], again["changed_attributes"]) == (0, 55, 0)

    out = {ending: tmp_path / f"out.{ending}" for ending in ("csv", "parquet")}
    for path in out.values():
        assert _run(state, "export", str(path), "--purpose", "targeting")["persons"] == 20
    rows = pq.read_table(out["parquet"]).to_pylist()
    assert sum(row["total"] for row in rows if row["kind"] == "activity") == 55
    assert sum(row["kind"] == "attribute" and row["value"] == "f" for row in rows) == 19
    assert {row["name"] for row in rows if row["kind"] == "interest"} == {
        "category:0", "category:1", "category:2", "brand:acme"
    }  # fmt: skip
    with out["csv"].open(newline="") as exported:
        assert len(list(csv.DictReader(exported))) == len(rows)
    assert _run(state, "export", str(out["csv"]), "--purpose", "measurement")["rows"] != len(rows)


def test_load_that_is_interrupted_goes_on_and_counts_everything_once(state: Path, tmp_path: Path) -> None:
    now_us = time.time_ns() // 1_000
    count = 40_000
    file = _write(tmp_path / "in.csv", [_event(number, now_us) for number in range(count)])
    checkpoint = beside(file, ".checkpoint.json")
    command = [sys.executable, "-m", "bihuan_cli", "profile", "load", str(file), "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _await_file(checkpoint, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130, output.decode()
    assert 0 < json.loads(checkpoint.read_text())["row"] < count
    done = _run(state, "load", str(file))
    assert done["rows"] == count
    assert done["resumed_after_row"] != 0
    assert done["rejected"] == 0
    assert asyncio.run(_views(state)) == count


async def _views(state: Path) -> int:
    """Views of everybody, counted by profile itself."""
    items = [
        identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(namespace="login", value=f"{SECRET}{number}")])
        for number in range(20)
    ]
    async with service_channel(state, "identity") as identity, service_channel(state, "profile") as profiles:
        stub = IdentityServiceStub(identity)
        found = await stub.BatchResolve(identity_pb2.BatchResolveRequest(items=items))
        queries = [
            profile_pb2.ProfileQuery(
                person=common_pb2.PersonRef(person_id=result.person_id),
                purpose=common_pb2.PURPOSE_TARGETING,
                consent=common_pb2.Consent(
                    purposes=[common_pb2.PURPOSE_TARGETING], data_classes=[common_pb2.DATA_CLASS_OPERATION]
                ),
            )
            for result in found.results
        ]
        read = await ProfileServiceStub(profiles).BatchGetProfiles(profile_pb2.BatchGetProfilesRequest(queries=queries))
    return sum(activity.total for profile in read.profiles for activity in profile.activities)
