"""Our scoring service as a process of its own, asked over gRPC."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scoring_rows import score_request
from service_process import SECRET, load_caller

from bihuan.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from bihuan_shared.embedded import tied_to_parent
from bihuan_shared.rpc.client import open_channel

PERSONS = 100
CANDIDATES = 200
CALLS = 15
START_S = 60.0


def ask_ours(state: Path, public_keys: str, cores: tuple[int, int]) -> dict[str, object]:
    """`grpc_us_per_row` of the version `bench` in the registry below `state`, server on the first core."""
    port_file = state / "scoring.port"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BIHUAN_")},
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "BIHUAN_CALLERS": load_caller(),
        "BIHUAN_LAKE_URL": str(state / "lake"),
        "BIHUAN_SCORING_STATE_DIR": str(state / "scoring"),
        "BIHUAN_SCORING_CALLER_SECRET": SECRET,
        "BIHUAN_SCORING_PROFILE_TARGET": "127.0.0.1:1",
        "BIHUAN_SCORING_MODEL_PUBLIC_KEYS": public_keys,
        "BIHUAN_SCORING_PORT_FILE": str(port_file),
    }
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores[0]})
    with (state / "scoring.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - our own command
            tied_to_parent([sys.executable, "-m", "bihuan_scoring"]), env=environment, stdout=log, stderr=log
        )
    os.sched_setaffinity(0, {cores[1]})
    try:
        us = asyncio.run(_ask(port_file))
    finally:
        os.sched_setaffinity(0, allowed)
        server.terminate()
        server.wait()
    return {"grpc_us_per_row": round(us, 3), "grpc_persons": PERSONS, "grpc_candidates": CANDIDATES}


async def _ask(port_file: Path) -> float:
    async with asyncio.timeout(START_S):
        while not port_file.exists():
            await asyncio.sleep(0.05)
    channel = open_channel(f"127.0.0.1:{port_file.read_text()}", secret=SECRET, service="scoring")
    stub = scoring_pb2_grpc.ScoringServiceStub(channel)
    published = await stub.PublishModel(scoring_pb2.PublishModelRequest(model_version="bench"), timeout=START_S)
    async with asyncio.timeout(5 * START_S):
        while published.model.predictor != "lleaves":
            await asyncio.sleep(0.2)
            published.model.CopyFrom(
                (await stub.ListModels(scoring_pb2.ListModelsRequest(), timeout=START_S)).models[0]
            )
    request = score_request(PERSONS, CANDIDATES)
    took: list[float] = []
    for _ in range(CALLS):
        started_s = time.perf_counter()
        response = await stub.BatchScore(request, timeout=START_S)
        took.append(time.perf_counter() - started_s)
        assert response.model_version == "bench"
    await channel.close()
    return statistics.median(took) / (PERSONS * CANDIDATES) * 1e6
