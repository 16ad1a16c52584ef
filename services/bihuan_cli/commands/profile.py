"""The `bihuan profile` group; each command stands in a module of its own and is registered here."""

import typer

from bihuan_cli.commands.profile_communities import communities

profile = typer.Typer(help="What is known about people.", no_args_is_help=True)
profile.command("communities")(communities)
