"""The model registry of a stack that runs, through the scoring service."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bihuan.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.layout import StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_scoring.domain.model_keys import ModelSigner

RPC_TIMEOUT_S = 30.0
SIGNING_KEYS = "BIHUAN_MODEL_SIGNING_KEYS"


def model_signer(state: Path) -> ModelSigner:
    """
    Who signs models: the seeds of `BIHUAN_MODEL_SIGNING_KEYS` where it is set, else those of the local stack.

    Raises ValueError, without any key material in it, where the variable does not hold keys.
    """
    return ModelSigner.parse(os.environ.get(SIGNING_KEYS) or load_or_create(StateFolder(state).secrets).model_keys)


MODES = {
    "everyone": scoring_pb2.PUBLISH_MODE_EVERYONE,
    "shadow": scoring_pb2.PUBLISH_MODE_SHADOW,
    "canary": scoring_pb2.PUBLISH_MODE_CANARY,
}


async def publish_model(state: Path, version: str, mode: str = "everyone", share: float = 0.0) -> str:
    """Have a version serve for whom `mode` says (a canary: for `share` of the persons); answers what was published."""
    async with service_channel(state, "scoring") as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        request = scoring_pb2.PublishModelRequest(model_version=version, mode=MODES[mode], share=share)
        answer = await stub.PublishModel(request, timeout=RPC_TIMEOUT_S)
    return str(answer.model.model_version)


async def roll_back_model(state: Path, from_version: str) -> str:
    """Go back to the version that served before `from_version`; answers the version that serves now."""
    async with service_channel(state, "scoring") as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        request = scoring_pb2.RollBackModelRequest(from_model_version=from_version)
        answer = await stub.RollBackModel(request, timeout=RPC_TIMEOUT_S)
    return str(answer.model.model_version)


async def list_models(state: Path, console: Console) -> None:
    """Print the registry, newest first."""
    async with service_channel(state, "scoring") as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        answer = await stub.ListModels(scoring_pb2.ListModelsRequest(), timeout=RPC_TIMEOUT_S)
    table = Table("version", "state", "trees", "why", "metrics", title="Models")
    for model in answer.models:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(model.metrics.items()))
        state_name = scoring_pb2.ModelState.Name(model.state).removeprefix("MODEL_STATE_").lower()
        if model.share:
            state_name += f" {model.share:.1%}"
        table.add_row(model.model_version, state_name, model.predictor, model.state_reason, metrics)
    console.print(table)
