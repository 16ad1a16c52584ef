"""Models are swapped, tried and taken out while requests come in, and no request fails or is answered by two."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from response_models import made_up, trees, version_of

from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from bihuan_scoring import app
from bihuan_scoring.domain.model_keys import ModelSigner
from bihuan_scoring.registry_store import DiskModelRegistry
from bihuan_scoring.settings import Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import SystemClock
from bihuan_shared.errors import BihuanError
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import RunningServer, start_server

SIGNER = ModelSigner({1: bytes(32)})
CLIENTS = 6
PERSONS = 40
CANDIDATES = 8


@dataclass
class Traffic:
    """What clients sent and heard."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    by_person: dict[int, set[str]] = field(default_factory=dict)

    def hear(self, response: scoring_pb2.BatchScoreResponse, persons: list[int]) -> None:
        self.answered += 1
        assert len(response.results) == len(persons)
        for person_id, result in zip(persons, response.results, strict=True):
            assert len(result.scores) == CANDIDATES
            version = result.model_version or response.model_version
            # Each made-up version says its own number as the probability of an order.
            assert {round(score.pcvr, 6) for score in result.scores} == {RATES[version]}
            self.versions[version] += 1
            self.by_person.setdefault(person_id, set()).add(version)


RATES = {"prior": 0.02, "m1": 0.1, "m2": 0.2, "m3": 0.3, "bad": 0.4}


@dataclass
class Service:
    """A running scoring service."""

    settings: Settings
    server: RunningServer

    @asynccontextmanager
    async def stub(self) -> "AsyncIterator[scoring_pb2_grpc.ScoringServiceAsyncStub]":
        channel = open_channel(f"127.0.0.1:{self.server.port}", secret="inside", service="scoring")
        yield scoring_pb2_grpc.ScoringServiceStub(channel)
        await channel.close()

    async def models(self) -> dict[str, scoring_pb2.Model]:
        async with self.stub() as stub:
            listed = await stub.ListModels(scoring_pb2.ListModelsRequest())
        return {model.model_version: model for model in listed.models}

    async def until(self, version: str, state: "scoring_pb2.ModelState.ValueType") -> scoring_pb2.Model:
        async with asyncio.timeout(60):
            while (model := (await self.models())[version]).state != state:
                await asyncio.sleep(0.05)
        return model

    async def restart(self) -> None:
        await self.server.stop(0)
        self.server = await start_server(await app.build(self.settings), self.settings, SystemClock())


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    registry = DiskModelRegistry(tmp_path / "models")
    text = trees(made_up())
    for name in ("m1", "m2", "m3", "bad"):
        registry.add(version_of(name, rate=RATES[name], text=text), SIGNER)
    callers = (Credential("gateway", Role.INTERNAL, secret_sha256("inside")),)
    settings = Settings.model_validate(
        {
            "state_dir": tmp_path,
            "callers": callers,
            "caller_secret": "inside",
            "profile_target": "127.0.0.1:1",
            "model_public_keys": SIGNER.public_keys(),
            "guard_interval_s": 0.2,
            "guard_maturity_s": 0.001,
        }
    )
    server = await start_server(await app.build(settings), settings, SystemClock())
    running = Service(settings, server)
    yield running
    await running.server.stop(0)


def _request(first: int) -> tuple[list[int], scoring_pb2.BatchScoreRequest]:
    persons = [1 + (first + n) % PERSONS for n in range(10)]
    candidates = [
        scoring_pb2.Candidate(creative_id=f"cr{n}", campaign_id="c", tags=[f"category:{n}"]) for n in range(CANDIDATES)
    ]
    items = [
        scoring_pb2.ScoreItem(
            profile=profile_pb2.Profile(
                person_id=person_id, interests=[profile_pb2.Interest(tag="category:3", long_term=person_id)]
            ),
            candidate_indexes=range(CANDIDATES),
        )
        for person_id in persons
    ]
    return persons, scoring_pb2.BatchScoreRequest(candidates=candidates, items=items)


@asynccontextmanager
async def _load(service: Service) -> AsyncIterator[Traffic]:
    """Clients that ask without a pause, until the block ends."""
    traffic, over = Traffic(), asyncio.Event()

    async def client(number: int) -> None:
        async with service.stub() as stub:
            first = number
            while not over.is_set():
                persons, request = _request(first)
                first += CLIENTS
                try:
                    traffic.hear(await stub.BatchScore(request, timeout=10), persons)
                except (BihuanError, grpc.aio.AioRpcError) as error:
                    traffic.failed.append(repr(error))

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(number))
        try:
            yield traffic
        finally:
            over.set()
    assert not traffic.failed
    assert traffic.answered > 0


async def _more(traffic: Traffic, requests: int = 60) -> None:
    wanted = traffic.answered + requests
    async with asyncio.timeout(60):
        while traffic.answered < wanted:
            await asyncio.sleep(0.01)


async def _publish(service: Service, version: str, **how: object) -> scoring_pb2.Model:
    async with service.stub() as stub:
        request = scoring_pb2.PublishModelRequest(model_version=version, **how)  # type: ignore[arg-type]  # by name
        return (await stub.PublishModel(request, timeout=30)).model


async def test_hot_swaps_and_roll_backs_fail_no_request(service: Service) -> None:
    async with _load(service) as traffic:
        for _ in range(3):
            for version in ("m1", "m2", "m3"):
                await _publish(service, version)
                await _more(traffic, 15)
        async with service.stub() as stub:
            await stub.RollBackModel(scoring_pb2.RollBackModelRequest(from_model_version="m3"), timeout=30)
        await _more(traffic)
        async with asyncio.timeout(60):
            while (await service.models())["m2"].predictor != "lleaves":
                await asyncio.sleep(0.05)
        await _more(traffic)
    assert {"m1", "m2", "m3"} <= set(traffic.versions)
    assert (await service.models())["m2"].state == scoring_pb2.MODEL_STATE_STABLE


async def test_canary_serves_the_same_persons_and_a_restart_keeps_it(service: Service) -> None:
    await _publish(service, "m1")
    published = await _publish(service, "m2", mode=scoring_pb2.PUBLISH_MODE_CANARY, share=0.3)
    assert (published.state, published.share) == (scoring_pb2.MODEL_STATE_CANARY, 0.3)
    await _publish(service, "m3", mode=scoring_pb2.PUBLISH_MODE_SHADOW)
    async with _load(service) as before:
        await _more(before, 200)
    await service.restart()
    async with _load(service) as after:
        await _more(after, 200)
    assert before.by_person == after.by_person
    assert all(len(versions) == 1 for versions in before.by_person.values())
    canaried = sum(versions == {"m2"} for versions in before.by_person.values())
    assert 3 <= canaried <= 22, "about 12 of 40"
    assert set(before.versions) == {"m1", "m2"}, "a shadow answers nobody"
    states = {name: model.state for name, model in (await service.models()).items()}
    assert states["m3"] == scoring_pb2.MODEL_STATE_SHADOW


def _write_lake(folder: Path, version: str, now_us: int) -> None:
    """1,000 shown decisions of a version that promised one click in two, of which one in a hundred came."""
    decisions: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    for n in range(1_000):
        candidates = [{"creative_id": "cr1", "pctr": 0.5}]
        decision: dict[str, object] = {"decision_id": f"d{n}", "request_time_us": now_us + n, "candidates": candidates}
        decisions.append(decision | {"winner_creative_id": "cr1", "model_version": version})
        kinds = ("impression", "click") if n % 100 == 0 else ("impression",)
        events += [{"event_type": kind, "decision_id": f"d{n}", "event_time_us": now_us + n + 1} for kind in kinds]
    for dataset, rows in (("decisions", decisions), ("events", events)):
        path = folder / dataset / "date=2026-01-01"
        path.mkdir(parents=True)
        draft = path / ".draft"
        pq.write_table(pa.Table.from_pylist(rows), draft)
        draft.rename(path / "part-0.parquet")


async def test_canary_that_drifts_is_rolled_back_under_load_and_stays_out(service: Service) -> None:
    await _publish(service, "m1")
    async with _load(service) as traffic:
        await _publish(service, "bad", mode=scoring_pb2.PUBLISH_MODE_CANARY, share=0.5)
        await _more(traffic)
        assert traffic.versions["bad"] > 0
        _write_lake(service.settings.state_dir / "lake", "bad", SystemClock().now_us())
        withdrawn = await service.until("bad", scoring_pb2.MODEL_STATE_WITHDRAWN)
        assert withdrawn.state_reason.startswith("drift: 10 clicks where 500.0 were predicted")
        traffic.versions.clear()
        await _more(traffic)
        # Requests that were on their way are answered as they began.
        traffic.versions.clear()
        await _more(traffic)
        assert set(traffic.versions) == {"m1"}
    await service.restart()
    assert (await service.models())["bad"].state == scoring_pb2.MODEL_STATE_WITHDRAWN


async def test_version_for_everyone_that_drifts_gives_way_to_the_one_before(service: Service) -> None:
    await _publish(service, "m1")
    async with _load(service) as traffic:
        await _publish(service, "bad")
        _write_lake(service.settings.state_dir / "lake", "bad", SystemClock().now_us())
        await service.until("bad", scoring_pb2.MODEL_STATE_WITHDRAWN)
        await _more(traffic)
    assert (await service.models())["m1"].state == scoring_pb2.MODEL_STATE_STABLE


async def test_explanation_goes_over_the_wire(service: Service) -> None:
    await _publish(service, "m1")
    _, request = _request(0)
    explained = scoring_pb2.ExplainScoreRequest(candidate=request.candidates[3], item=request.items[0])
    async with service.stub() as stub:
        found = await stub.ExplainScore(explained)
        score = (await stub.BatchScore(request)).results[0].scores[3]
    total = found.base_log_odds + sum(each.contribution for each in found.contributions)
    assert total == pytest.approx(found.log_odds, abs=1e-6)
    assert found.probability == pytest.approx(score.pctr, abs=1e-9)
    assert found.model_version == "m1"
    assert {each.feature for each in found.contributions} >= {"match_category_long"}
