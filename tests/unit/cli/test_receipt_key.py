"""The command that tells outsiders which key receipts are signed with."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bihuan_cli.commands.identity import identity
from bihuan_cli.commands.identity_receipts import VARIABLE
from bihuan_cli.stack.secrets import load_or_create
from bihuan_identity.domain.receipts import ReceiptKeys


def shown(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(identity, ["receipt-key", *arguments])
    return result.exit_code, result.output


def test_public_keys_of_a_local_stack_are_shown_and_its_secrets_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert shown("--state", str(tmp_path))[0] == 1
    made = load_or_create(tmp_path / "secrets.json")
    code, text = shown("--state", str(tmp_path))
    assert code == 0
    assert ReceiptKeys.parse(made.receipt_keys).public_keys()[1] in text
    assert "PRIVATE" not in text


def test_the_environment_wins_and_machines_get_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = f"2:{b64encode(bytes(32)).decode()},1:{b64encode(bytes(range(32))).decode()}"
    monkeypatch.setenv(VARIABLE, keys)
    code, text = shown("--state", str(tmp_path), "--json")
    assert code == 0
    public = ReceiptKeys.parse(keys).public_keys()
    assert json.loads(text) == [{"key": 2, "pem": public[2]}, {"key": 1, "pem": public[1]}]
    monkeypatch.setenv(VARIABLE, "nonsense")
    assert shown("--state", str(tmp_path))[0] == 1
