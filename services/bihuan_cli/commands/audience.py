"""The `bihuan audience` group; each command stands in a module of its own and is registered here."""

import typer

from bihuan_cli.commands.audience_create import create, expand
from bihuan_cli.commands.audience_report import report

audience = typer.Typer(help="Audience packages.", no_args_is_help=True)
audience.command("create")(create)
audience.command("expand")(expand)
audience.command("report")(report)
