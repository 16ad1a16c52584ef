"""`bihuan ledger reconcile`: what it prints of an answer, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner

from bihuan_cli import app
from bihuan_cli.commands import insight
from bihuan_cli.replay.totals import AccountBooks, CurrencyBooks, Reconciliation

Run = Callable[[Reconciliation, list[str]], tuple[int, str]]


class Client:
    """Stands in for the gateway's client, which is only entered here."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


def books(difference_nanos: int = 0, **unbilled: int) -> Reconciliation:
    currency = CurrencyBooks("CNY", 7_000, 7_000, 5_000, 5_000, abs(difference_nanos))
    account = AccountBooks("CNY", "publisher:payable:pub", -1_234, -1_234 - difference_nanos, difference_nanos)
    return Reconciliation([currency], {"over_budget": 4, **unbilled}, 9, {"billing": 9}, [account], 9, 5)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    def answered(found: Reconciliation, options: list[str]) -> tuple[int, str]:
        async def answer(_: object) -> Reconciliation:
            return found

        monkeypatch.setattr(insight, "running_client", lambda *_, **__: (Client(), None))
        monkeypatch.setattr(insight, "reconciliation", answer)
        monkeypatch.setenv("COLUMNS", "200")
        result = CliRunner().invoke(app.app, ["ledger", "reconcile", "--state", str(tmp_path), *options])
        return result.exit_code, result.output

    return answered


def test_agreement_is_shown_by_account_and_reason_and_ends_well(run: Run) -> None:
    code, output = run(books(), [])
    assert code == 0
    assert "publisher:payable:pub" in output
    assert "-1,234" in output
    assert "compared at position 9; billed: 5" in output
    assert "not billed, over_budget: 4" in output


@pytest.mark.parametrize("found", [books(3), books(missing_in_lake=1)], ids=["difference", "missing"])
def test_anything_but_agreement_ends_with_one(run: Run, found: Reconciliation) -> None:
    assert run(found, [])[0] == 1


def test_json_says_the_same(run: Run) -> None:
    code, output = run(books(3), ["--json"])
    answer = json.loads(output)
    assert (code, answer["accounts"][0]["difference_nanos"], answer["compared_position"]) == (1, 3, 9)
