"""The `bihuan profile` group; each command stands in a module of its own and is registered here."""

import typer

from bihuan_cli.commands.profile_communities import communities
from bihuan_cli.commands.profile_explain import explain
from bihuan_cli.commands.profile_export import export_to
from bihuan_cli.commands.profile_load import load_from
from bihuan_cli.commands.profile_rebuild import rebuild
from bihuan_cli.commands.profile_subject import export_subject

profile = typer.Typer(help="What is known about people.", no_args_is_help=True)
profile.command("communities")(communities)
profile.command("explain")(explain)
profile.command("export")(export_to)
profile.command("load")(load_from)
profile.command("rebuild")(rebuild)
profile.command("export-subject")(export_subject)
