"""`bihuan identity inspect` and `rebuild` against an identity server as the local stack runs it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_cli.app import app
from bihuan_cli.commands.identity_rebuild import POSITION
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_shared.redis import open_redis

START_S = 60.0
RAW = "secret-user@shop"


@pytest.fixture
def state(tmp_path: Path, redis_url: str) -> Iterator[Path]:
    """The folder of a stack of which only identity runs."""
    folder = StateFolder(tmp_path)
    secrets = load_or_create(folder.secrets)
    home = folder.service("identity")
    home.mkdir()
    port_file, log = tmp_path / "port", tmp_path / "identity.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BIHUAN_")}
    own = {
        "BIHUAN_REDIS_URL": redis_url,
        "BIHUAN_CALLERS": secrets.callers_json(),
        "BIHUAN_IDENTITY_STATE_DIR": str(home),
        "BIHUAN_IDENTITY_DATABASE_URL": f"sqlite:///{home / 'identity.db'}",
        "BIHUAN_IDENTITY_PEPPERS": secrets.identity_peppers,
        "BIHUAN_IDENTITY_PSEUDONYM_KEYS": secrets.pseudonym_keys,
        "BIHUAN_IDENTITY_RECEIPT_KEYS": secrets.receipt_keys,
        "BIHUAN_IDENTITY_PORT_FILE": str(port_file),
        "BIHUAN_IDENTITY_INDEX_TIMEOUT_MS": "5000",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bihuan_identity"], env=inherited | own, stdout=output, stderr=output
        )
    deadline = time.monotonic() + START_S
    while not port_file.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    target = f"127.0.0.1:{port_file.read_text()}"
    RunningStack("", {"identity": target}, "system", os.getpid(), redis_url=redis_url).write(folder.stack)
    yield tmp_path
    process.terminate()
    assert process.wait(START_S) == 0
    assert RAW not in log.read_text()


def bihuan(state: Path, *words: str, typed: str | None = None) -> Result:
    """Run the command line on a state folder."""
    return CliRunner().invoke(app, ["identity", *words, "--state", str(state)], input=typed)


async def _tell(state: Path, items: list[list[Identifier]]) -> None:
    async with service_channel(state, "identity") as channel:
        stub = IdentityServiceStub(channel)
        wanted = [pb.ResolveItem(identifiers=identifiers, create=True) for identifiers in items]
        await stub.BatchResolve(pb.BatchResolveRequest(items=wanted), timeout=START_S)


async def _flush(redis_url: str) -> None:
    client = await open_redis(redis_url)
    await client.flushall()
    await client.aclose()


def test_person_is_shown_by_id_and_by_identifier_without_a_raw_value(state: Path, tmp_path: Path) -> None:
    login, cookie = Identifier(namespace="login", value=RAW), Identifier(namespace="cookie", value="c-raw-1")
    asyncio.run(_tell(state, [[login, cookie]]))
    svg, dot = tmp_path / "person.svg", tmp_path / "person.dot"
    shown = bihuan(state, "inspect", f"login:{RAW}", "--svg", str(svg), "--dot", str(dot))
    assert shown.exit_code == 0, shown.output
    assert "resolve, deterministic, confidence 1" in shown.output
    assert len(list(ET.parse(svg).iter("{http://www.w3.org/2000/svg}circle"))) > 2  # noqa: S314  # our own file
    assert dot.read_text().startswith("graph ")
    typed = bihuan(state, "inspect", "login:-", "--json", typed=f"{RAW}\n")
    told = json.loads(typed.output)
    assert {row["scope"] for row in told["identifiers"]} == {"person", "browser"}
    assert bihuan(state, "inspect", str(told["person_id"])).output == bihuan(state, "inspect", f"login:{RAW}").output
    assert not any(
        raw in text
        for raw in (RAW, "c-raw-1")
        for text in (shown.output, typed.output, svg.read_text(), dot.read_text())
    )


def test_who_is_not_known_is_said_without_the_value(state: Path) -> None:
    for who, says in (
        ("login:nobody-of-this-name", "nobody is known"),
        ("nobody-of-this-name", "by its id or by NAMESPACE:VALUE"),
        ("planet:nobody-of-this-name", "namespace"),
        ("999", "no such person"),
    ):
        shown = bihuan(state, "inspect", who)
        assert shown.exit_code == 1
        assert says in shown.output
        assert "nobody-of-this-name" not in shown.output


def test_flushed_index_is_rebuilt_and_an_interrupted_rebuild_goes_on(state: Path, redis_url: str) -> None:
    items = [[Identifier(namespace="login", value=f"u{at}")] for at in range(1_000)]
    asyncio.run(_tell(state, items))
    asyncio.run(_flush(redis_url))
    assert _rebuilt(state)["added"] == 1_000
    again = _rebuilt(state)
    assert (again["identifiers"], again["added"]) == (1_000, 0)
    position = StateFolder(state).service("identity") / POSITION
    assert not position.exists()
    position.write_text("80" * 16)
    assert 0 < _rebuilt(state)["identifiers"] < 1_000
    assert _rebuilt(state, "--clear")["added"] == 1_000


def _rebuilt(state: Path, *options: str) -> dict[str, int]:
    done = bihuan(state, "rebuild", "--json", *options)
    assert done.exit_code == 0, done.output
    figures: dict[str, int] = json.loads(done.stdout)
    return figures
