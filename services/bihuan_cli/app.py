"""The command line, put together from its groups."""

import json
import os
from typing import Annotated, Literal

import typer

from bihuan_cli import models
from bihuan_cli.commands import insight, model_report, proof, settlement, up
from bihuan_cli.commands.audience import audience
from bihuan_cli.commands.identity import identity
from bihuan_cli.commands.profile import profile
from bihuan_cli.commands.report import attribution, report
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, fail, run
from bihuan_cli.datasets.catalog import DATA_SETS
from bihuan_cli.datasets.fetch import fetch, fetch_progress
from bihuan_cli.stack.layout import StateFolder
from bihuan_cli.stack.secrets import StackSecrets, load_or_create, sha256_hex
from bihuan_scoring.domain.model_keys import ModelSigner
from bihuan_shared.errors import BihuanError

app = typer.Typer(help="Bihuan: the closed loop, from the first impression to the refund.", no_args_is_help=True)
data = typer.Typer(help="Public data sets.", no_args_is_help=True)
model = typer.Typer(help="Response models.", no_args_is_help=True)
ledger = typer.Typer(help="The books.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(model, name="model")
app.add_typer(ledger, name="ledger")
app.add_typer(identity, name="identity")
app.add_typer(profile, name="profile")
app.add_typer(audience, name="audience")
app.add_typer(report, name="report")
app.add_typer(attribution, name="attribution")

SetName = Annotated[Literal["journey", "bandit", "febrl", "cdnow", "all"], typer.Argument(help="Which set.")]
LoadedSet = Annotated[Literal["journey", "bandit", "all"], typer.Argument(help="Which set.")]


@app.command("up")
def up_command(
    state: State = STATE,
    clock: Annotated[
        Literal["system", "replay"], typer.Option(help="`replay` lets callers state the time.")
    ] = "system",
    port: Annotated[int | None, typer.Option(help="Port of the gateway; a free one by default.")] = None,
) -> None:
    """Start engines and services on this machine; Ctrl-C stops them."""
    run(up.run_until_stopped(state, clock, port, console))


@app.command("demo")
def demo_command(
    state: State = STATE,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards.")] = False,
) -> None:
    """Close the loop on real data and show what came of it."""
    from bihuan_cli.commands.demo import demonstrate  # noqa: PLC0415  # learning takes seconds to load

    run(demonstrate(state / "demo", state / "data", keep=keep, console=console))


@data.command("fetch")
def data_fetch(name: SetName = "all", state: State = STATE) -> None:
    """Download data sets and check them."""
    try:
        with fetch_progress() as progress:
            folders = [
                fetch(DATA_SETS[item], state / "data", progress) for item in (DATA_SETS if name == "all" else [name])
            ]
    except BihuanError as error:
        fail(error)
    for folder in folders:
        console.print(folder)


@data.command("load")
def data_load(name: LoadedSet = "all", state: State = STATE) -> None:
    """Load data sets into the stack that runs; an interrupted load goes on where it was."""
    from bihuan_cli.commands.data import load_bandit, load_journey  # noqa: PLC0415  # tables take a while to load

    loaders = {"journey": load_journey, "bandit": load_bandit}
    for item in loaders if name == "all" else [name]:
        with fetch_progress() as progress:
            folder = fetch(DATA_SETS[item], state / "data", progress)
        run(loaders[item](state, folder))


@model.command("train")
def model_train(
    state: State = STATE,
    until: Annotated[str, typer.Option(help="Learn from what happened before this RFC 3339 instant.")] = "",
    seed: int = 1,
) -> None:
    """Train a response model on logged decisions and what became of them."""
    from bihuan_scoring.app import train_model  # noqa: PLC0415  # learning takes seconds to load

    folder = StateFolder(state.resolve())
    try:
        trained = train_model(
            os.environ.get("BIHUAN_LAKE_URL", str(folder.lake)),
            folder.models,
            cut_off_time_us=insight.cut_off_us(until),
            seed=seed,
            signer=models.model_signer(folder.root),
        )
    except (BihuanError, ValueError) as error:
        fail(error)
    console.print(f"{trained.version}: " + ", ".join(f"{k} {v:.4g}" for k, v in sorted(trained.metrics.items())))


@model.command("publish")
def model_publish(
    version: str,
    state: State = STATE,
    mode: Annotated[Literal["everyone", "shadow", "canary"], typer.Option(help="Whom it serves.")] = "everyone",
    share: Annotated[float, typer.Option(help="Of a canary: the share of persons that it serves.")] = 0.0,
) -> None:
    """Have a version serve everyone, a share of the persons, or nobody (it scores along)."""
    published = run(models.publish_model(state, version, mode, share))
    console.print(f"{published} serves" if mode == "everyone" else f"{published} is the {mode}")


@model.command("rollback")
def model_rollback(from_version: str, state: State = STATE) -> None:
    """Go back to the version that served before FROM_VERSION."""
    console.print(f"{run(models.roll_back_model(state, from_version))} serves")


model.command("report")(model_report.report)


@ledger.command("reconcile")
def ledger_reconcile(state: State = STATE, *, as_json: AsJson = False) -> None:
    """Compare the books with the fold over the events; ends with 1 where they differ."""
    if not run(insight.reconcile(state, console, as_json=as_json)):
        raise typer.Exit(1)


ledger.command("verify")(proof.verify)
ledger.command("trace")(proof.trace)
ledger.command("close")(settlement.close)
ledger.command("invoices")(settlement.invoices)
ledger.command("payout")(settlement.payout)


@app.command("secrets")
def secrets_command(state: State = STATE) -> None:
    """Print a stack's credentials as an environment file; they are made where there are none."""
    made = load_or_create(StateFolder(state).secrets)
    for key, value in _environment(made).items():
        typer.echo(f"{key}='{value}'")


def _environment(made: StackSecrets) -> dict[str, str]:
    return {
        "BIHUAN_GATEWAY_ADMIN_KEY_SHA256": sha256_hex(made.admin_key),
        "BIHUAN_TOKEN_KEYS": made.token_keys,
        "BIHUAN_IDENTITY_PEPPERS": made.identity_peppers,
        "BIHUAN_IDENTITY_PSEUDONYM_KEYS": made.pseudonym_keys,
        "BIHUAN_IDENTITY_RECEIPT_KEYS": made.receipt_keys,
        "BIHUAN_SCORING_MODEL_PUBLIC_KEYS": ModelSigner.parse(made.model_keys).public_keys(),
        models.SIGNING_KEYS: made.model_keys,
        "BIHUAN_SCORING_REACH_SECRET": made.reach_secret,
        "BIHUAN_GATEWAY_CALLER_SECRET": made.gateway_secret,
        "BIHUAN_SCORING_CALLER_SECRET": made.scoring_secret,
        "BIHUAN_PROFILE_CALLER_SECRET": made.profile_secret,
        "BIHUAN_ATTRIBUTION_CALLER_SECRET": made.attribution_secret,
        "BIHUAN_GATEWAY_WEBHOOK_SECRETS": made.webhook_secrets,
        "BIHUAN_CALLERS": json.dumps(json.loads(made.callers_json()), separators=(",", ":")),
    }
