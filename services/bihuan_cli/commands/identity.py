"""The `bihuan identity` group; each command stands in a module of its own and is registered here."""

import typer

from bihuan_cli.commands.identity_inspect import inspect
from bihuan_cli.commands.identity_link import link_records
from bihuan_cli.commands.identity_rebuild import rebuild
from bihuan_cli.commands.identity_receipts import receipt_key

identity = typer.Typer(help="Who is who, and why.", no_args_is_help=True)
identity.command("link-records")(link_records)
identity.command("inspect")(inspect)
identity.command("receipt-key")(receipt_key)
identity.command("rebuild")(rebuild)
