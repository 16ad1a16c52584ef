"""`bihuan identity receipt-key`: what outsiders need to check receipts of erasures by themselves."""

import json
import os

import typer

from bihuan_cli.commands.terminal import STATE, AsJson, State, fail
from bihuan_cli.stack.layout import StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_shared.errors import FailedPrecondition

VARIABLE = "BIHUAN_IDENTITY_RECEIPT_KEYS"


def receipt_key(state: State = STATE, *, print_json: AsJson = False) -> None:
    """
    Print the public keys of receipts in PEM, the signing one first.

    The keys are those of BIHUAN_IDENTITY_RECEIPT_KEYS where it is set, else those of the local stack.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        path = StateFolder(state).secrets
        if not path.exists():
            fail(FailedPrecondition(f"{VARIABLE} is not set, and there is no stack in {state}"))
        text = load_or_create(path).receipt_keys
    try:
        public = ReceiptKeys.parse(text).public_keys()
    except ValueError as error:
        fail(error)
    if print_json:
        typer.echo(json.dumps([{"key": number, "pem": pem} for number, pem in public.items()]))
        return
    for number, pem in public.items():
        typer.echo(f"key {number}\n{pem}", nl=False)
