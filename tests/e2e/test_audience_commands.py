"""Packages from the command line over a whole stack: a list, one like it, its report, and straight to a campaign."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from loop_stack import SpanCollector, Stack, start_stack
from typer.testing import CliRunner, Result

from bihuan.common.v1 import common_pb2 as common
from bihuan.identity.v1 import identity_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.app import app
from bihuan_cli.stack.channel import service_channel

pytestmark = pytest.mark.xdist_group("packages")

PERSONS = 1_500
SEEDS = 200
BATCH = 500


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, spans: SpanCollector) -> Iterator[Stack]:
    """A stack on the clock of this machine, with persons of whom some look for tea a lot."""
    running = start_stack(tmp_path_factory.mktemp("packages"), spans, {})
    http = running.client()
    made = http.post("/v1/advertisers", json={"id": "acme", "display_name": "Acme", "currency": "USD"})
    assert made.status_code == 201, made.text
    asyncio.run(_people(running.state))
    _until_all_are_reached(running)
    yield running
    assert running.stop() == 0


def _until_all_are_reached(running: Stack) -> None:
    """What is asked of everyone follows profiles within seconds; everybody looked for shoes."""
    body = {"advertiser_id": "acme", "expression": 'interest("category:shoes") > 0'}
    deadline_s = time.monotonic() + 30.0
    while running.client().post("/v1/audiences:estimateReach", json=body).json().get("reach", 0) < PERSONS - 30:
        assert time.monotonic() < deadline_s, "not everyone was reached in time"
        time.sleep(0.1)


async def _people(state: Path) -> None:
    random = np.random.default_rng(5)
    async with service_channel(state, "identity") as identity, service_channel(state, "profile") as profile:
        for start in range(0, PERSONS, BATCH):
            numbers = range(start, start + BATCH)
            items = [
                identity_pb2.ResolveItem(
                    identifiers=[common.Identifier(namespace="cookie", value=f"c{n}")], create=True
                )
                for n in numbers
            ]
            answer = await IdentityServiceStub(identity).BatchResolve(identity_pb2.BatchResolveRequest(items=items))
            events = [
                event
                for n, one in zip(numbers, answer.results, strict=True)
                for event in _events(n, one.person_id, random)
            ]
            for first in range(0, len(events), 1_000):
                await ProfileServiceStub(profile).IngestEvents(
                    profile_pb2.IngestEventsRequest(events=events[first : first + 1_000])
                )


def _events(n: int, person_id: int, random: np.random.Generator) -> list[profile_pb2.BehaviourEvent]:
    """The first 600 look for tea about four times as often as the others; everybody looks for shoes."""
    consent = common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_OPERATION])
    wanted = {"category:tea": random.poisson(4 if n < 600 else 1), "category:shoes": 1 + random.poisson(1)}
    return [
        profile_pb2.BehaviourEvent(
            event_id=f"{n}-{tag}-{k}",
            person=common.PersonRef(person_id=person_id),
            behaviour=common.BEHAVIOUR_SEARCH,
            tags=[tag],
            consent=consent,
        )
        for tag, times in wanted.items()
        for k in range(times)
    ]


def audience(shop: Stack, *words: str) -> Result:
    return CliRunner().invoke(app, ["audience", *words, "--state", str(shop.state)])


def asked(shop: Stack, *words: str) -> dict[str, object]:
    result = audience(shop, *words, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def near(document: dict[str, object], count: int) -> bool:
    size = document["size"]
    assert isinstance(size, int)
    return size % 10 == 0 and abs(size - count) <= 30


def listed(folder: Path, numbers: Sequence[int]) -> str:
    file = folder / "members.csv"
    file.write_text("namespace,value\n" + "".join(f"cookie,c{n}\n" for n in numbers))
    return str(file)


def test_from_a_list_over_its_look_alike_to_a_report_and_a_campaign(shop: Stack, tmp_path: Path) -> None:
    file = listed(tmp_path, range(SEEDS))
    seed = asked(shop, "create", "buyers", "--advertiser", "acme", "--members", file)
    assert (seed["state"], near(seed, SEEDS)) == ("ready", True)
    assert asked(shop, "create", "buyers", "--advertiser", "acme", "--members", file) == seed
    alike = asked(shop, "expand", "buyers", "alike", "--size", "300")
    assert (alike["state"], near(alike, 300)) == ("ready", True)
    evidence = alike["look_alike_evidence"]
    assert isinstance(evidence, dict)
    assert evidence["seed_audience_id"] == "buyers"
    assert [one["share"] for one in evidence["lifts"]] == [0.01, 0.05, 0.1, 0.2]
    assert evidence["reasons"]
    shown = audience(shop, "expand", "buyers", "alike", "--size", "300")
    assert "Held-out lift over buyers" in shown.output, shown.output
    page = tmp_path / "alike.html"
    assert audience(shop, "report", "alike", "--out", str(page)).exit_code == 0
    html = page.read_text()
    assert html.count("<svg") == 4
    assert "category:tea" in html
    assert "<script" not in html
    told = asked(shop, "report", "alike")
    assert "size" not in told["audience"]  # type: ignore[operator]  # an object in JSON
    launch = {
        "campaign": {
            "advertiser_id": "acme",
            "display_name": "Tea",
            "pricing": {"model": "cpm", "bid_micros": 2_000_000},
        },
        "ad_group": {"display_name": "Alike"},
    }
    made = shop.client().post("/v1/audiences/alike:launch", json=launch, headers={"idempotency-key": "l1"})
    assert made.status_code == 201, made.text
    assert made.json()["ad_group"]["audience_ids"]["include"] == ["alike"]


def test_an_expression_is_built_and_told_as_its_reach_is(shop: Stack) -> None:
    expression = 'interest("category:tea") > 0.5'
    built = asked(shop, "create", "tea", "--advertiser", "acme", "--expression", expression)
    body = {"advertiser_id": "acme", "expression": f"({expression}) and true"}
    reach = shop.client().post("/v1/audiences:estimateReach", json=body).json()
    assert reach == {"reach": built["size"], "below_floor": False}
    assert "about" in audience(shop, "create", "tea", "--advertiser", "acme", "--expression", expression).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "x", "--advertiser", "acme"), "exactly one of --expression and --members"),
        (("create", "x", "--advertiser", "acme", "--expression", "shoe > 3"), "column 1"),
        (("create", "x", "--advertiser", "acme", "--members", "nowhere.csv"), "cannot be read"),
        (("expand", "buyers", "x"), "exactly one of --size and --precision"),
        (("expand", "nobody", "x", "--size", "5"), "404"),
        (("report", "nobody"), "no audience nobody"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_1(shop: Stack, words: tuple[str, ...], said: str) -> None:
    result = audience(shop, *words)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


def test_an_audience_that_is_too_small_is_reported_without_what_it_is_made_of(shop: Stack, tmp_path: Path) -> None:
    few = asked(shop, "create", "few", "--advertiser", "acme", "--members", listed(tmp_path, range(20)))
    assert (few["size"], few["size_below_floor"]) == (0, True)
    page = tmp_path / "few.html"
    assert audience(shop, "report", "few", "--out", str(page)).exit_code == 0
    assert "too few persons to be told" in page.read_text()
    refused = audience(shop, "expand", "few", "like-few", "--size", "5")
    assert refused.exit_code == 1
    assert "could not be built" in " ".join(refused.output.split())
