"""`bihuan model report`: the registry of a stack that runs, or the card of one version."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bihuan_cli import models
from bihuan_cli.cards.page import card_page
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, fail, run
from bihuan_cli.stack.layout import StateFolder
from bihuan_scoring.model_card import card_document, read_card
from bihuan_shared.errors import BihuanError

Version = Annotated[str, typer.Argument(help="The version; without one the registry is listed.")]
Out = Annotated[Path | None, typer.Option(help="File of the page; `model-<VERSION>.html` by default.")]


def report(version: Version = "", state: State = STATE, out: Out = None, *, as_json: AsJson = False) -> None:
    """Write the card of VERSION as one HTML page, or print it as JSON; without VERSION, list the registry."""
    if not version:
        run(models.list_models(state, console))
        return
    try:
        card = read_card(StateFolder(state.resolve()).models, version)
    except BihuanError as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(card_document(card), indent=2, sort_keys=True))
        return
    target = out or Path(f"model-{version}.html")
    target.write_text(card_page(card), encoding="utf-8")
    console.print(target, highlight=False, soft_wrap=True)
