"""`bihuan profile load`: what becomes of wrong rows, and that a load goes on where it was."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_fakes import ERASED, EVENT, FACT, NOW_US, READER, FakeServices, away
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bihuan_cli.app import app
from bihuan_cli.bulk import loading
from bihuan_cli.bulk.checkpoint import Checkpoint, beside, read_rejected
from bihuan_cli.bulk.loading import load
from bihuan_cli.bulk.reading import MAX_LINE_BYTES, open_source, rows
from bihuan_cli.bulk.rows import COLUMNS, Rejection, check_columns
from bihuan_cli.bulk.sending import Sender
from bihuan_shared.errors import FailedPrecondition, Unavailable


def event(number: int, **cells: object) -> dict[str, object]:
    return {**EVENT, "event_id": f"e{number}", "identifier": f"login-{number % 7}", **cells}


def write_csv(path: Path, lines: Sequence[dict[str, object]], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(lines)
    return path


async def loaded(
    file: Path, services: FakeServices, *, patience_s: float = 0.0, from_start: bool = False
) -> Checkpoint:
    """Load a file into the fakes, as the command does."""

    async def no_pause(_: float) -> None:
        pass

    source = open_source(file)
    check_columns(source.names)
    checkpoint = Checkpoint.open(file, source.fingerprint, from_start=from_start)
    sender = Sender(cast("Any", services), cast("Any", services), patience_s=patience_s, pause=no_pause)
    await load(source, READER, sender, checkpoint, lambda _: None)
    checkpoint.finish(as_parquet=source.is_parquet)
    return checkpoint


def rejected(file: Path) -> list[tuple[int, str, str]]:
    path = beside(file, ".rejected.csv")
    return [(one.row, one.field, one.reason) for one in read_rejected(path)] if path.exists() else []


async def test_wrong_rows_are_taken_out_and_the_rest_is_loaded(tmp_path: Path) -> None:
    lines = [event(number) for number in range(100)]
    lines[3]["identifier"] = "bad-secret"
    lines[40:80] = [event(number, tags="x" * 97) for number in range(40, 80)]
    lines[90]["event_time"] = "1970-01-01T00:00:00Z"
    lines += [FACT | {"person_id": str(person), "value": "q" if person % 2 else "f"} for person in range(600, 700)]
    lines[99]["consent_purposes"] = ""
    file = write_csv(tmp_path / "in.csv", lines)
    services = FakeServices()
    done = (await loaded(file, services)).progress
    wrong = {4: "identifier", 91: "event_time", 100: "consent_purposes", 167: "person_id"}
    wrong |= dict.fromkeys(range(41, 81), "tags") | dict.fromkeys(range(102, 201, 2), "value")
    assert {(row, field) for row, field, _ in rejected(file)} == set(wrong.items())
    assert [row for row, _, _ in rejected(file)] == sorted(wrong)
    assert (167, "person_id", "PERSON_ERASED") in rejected(file)
    assert len(services.events) == done.accepted == 57
    assert len(services.attributes) == done.attributes == 49
    assert done.rejected == len(wrong)
    assert ERASED not in {person for person, _ in services.attributes}
    assert "secret" not in beside(file, ".rejected.csv").read_text()
    # Of who did not consent, or names nobody, nobody is created.
    assert ("login", "bad-secret") not in services.persons


@pytest.mark.parametrize("broken_at", [1, 2, 3, 7, 11, 16])
async def test_load_that_broke_goes_on_and_equals_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    monkeypatch.setattr(loading, "BATCH_ROWS", 10)
    lines = [event(number, tags="x" * (97 if number % 9 == 4 else 5)) for number in range(95)]
    lines[20]["consent_purposes"] = ""
    whole, broken = write_csv(tmp_path / "whole.csv", lines), write_csv(tmp_path / "broken.csv", lines)
    in_one_go = FakeServices()
    expected = (await loaded(whole, in_one_go)).progress
    services = FakeServices(away(broken_at))
    with pytest.raises(Unavailable):
        await loaded(broken, services)
    done = (await loaded(broken, services)).progress
    assert services.events == in_one_go.events
    assert rejected(broken) == rejected(whole)
    # What was in before the checkpoint was moved is known when it comes again.
    assert (done.row, done.rejected) == (expected.row, expected.rejected)
    assert done.accepted + done.duplicates == expected.accepted


async def test_rejected_rows_after_the_last_checkpoint_are_not_told_twice(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "in.csv", [event(1, behaviour="look"), event(2)])
    source = open_source(file)
    checkpoint = Checkpoint.open(file, source.fingerprint, from_start=False)
    checkpoint.progress.row = 1
    checkpoint.note([Rejection(1, "behaviour", "INVALID_FIELD")])
    with checkpoint.rejected_path.open("a") as torn:
        torn.write("2,event_id,INVAL")
    await loaded(file, FakeServices())
    assert rejected(file) == [(1, "behaviour", "INVALID_FIELD")]


async def test_outage_is_sat_out(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "in.csv", [event(number) for number in range(30)])
    services = FakeServices(away(1, 2, 4, 5, 6))
    assert (await loaded(file, services, patience_s=60.0)).progress.accepted == 30


async def test_changed_file_is_not_gone_on_with_unless_from_the_start(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "in.csv", [event(1), event(2)])
    with pytest.raises(Unavailable):
        await loaded(file, FakeServices(away(2)))
    source = open_source(file)
    Checkpoint.open(file, source.fingerprint, from_start=False).note([])
    write_csv(file, [event(3)])
    with pytest.raises(FailedPrecondition, match="changed"):
        await loaded(file, FakeServices())
    assert (await loaded(file, FakeServices(), from_start=True)).progress.accepted == 1


async def test_damaged_lines_spoil_no_other(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "in.csv", [event(1), event(2)])
    good = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(
        b"\xef\xbb\xbf"
        + good[0]
        + good[1]
        + b"x," * MAX_LINE_BYTES
        + b"\n"
        + b"\xff\xfe\n"
        + b'"open\n'
        + b"a,b\n\n"
        + good[2]
    )
    services = FakeServices()
    await loaded(file, services)
    assert [(row, field) for row, field, _ in rejected(file)] == [(row, "row") for row in (2, 3, 4, 5)]
    assert {event_id for _, event_id in services.events} == {"e1", "e2"}


async def test_parquet_is_read_with_its_types_and_its_rejected_rows_are_parquet(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    at = datetime.fromtimestamp(NOW_US / 1e6, UTC)
    table = pa.table(
        {
            "person_id": pa.array([7, 8, 9], pa.uint64()),
            "behaviour": ["view", "order", "jump"],
            "event_id": ["a", "b", "c"],
            "event_time": pa.array([at] * 3, pa.timestamp("us", "UTC")),
            "tags": [["category:tea"], [], None],
            "items": [None, [{"category": "tea", "brand": "", "size": "", "quantity": 2}], None],
            "consent_purposes": [["targeting"]] * 3,
        }
    )
    pq.write_table(table, file, row_group_size=2)
    services = FakeServices()
    assert (await loaded(file, services)).progress.accepted == 2
    assert list(services.events[7, "a"].tags) == ["category:tea"]
    assert services.events[8, "b"].items[0].quantity == 2
    assert pq.read_table(beside(file, ".rejected.parquet")).to_pylist()[0]["row"] == 3
    assert [number for _, (number, _) in cast("Any", list(rows(open_source(file), 2)))] == [3]


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, CELLS)), max_size=8), st.integers(0, 8))
def test_rows_of_a_csv_are_read_back_from_any_row_on(tmp_path: Path, lines: list[dict[str, object]], skip: int) -> None:
    file = write_csv(tmp_path / "any.csv", lines)
    read = [row for _, row in rows(open_source(file), skip)]
    assert read == [(number, line) for number, line in enumerate(lines, 1) if number > skip]


@pytest.mark.parametrize("content", [b"", b"\xff\xff\n", b"PAR1 and nothing more"])
@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_file_that_is_none_of_both_ends_the_command_with_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    ended = CliRunner().invoke(app, ["profile", "load", str(file), "--state", str(tmp_path)])
    assert ended.exit_code == 1
    assert "error:" in ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
