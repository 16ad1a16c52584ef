"""The books as the lake alone says they must be: DuckDB over Parquet, in a file of its own that is thrown away."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import pyarrow as pa

from bihuan_attribution.person_history import PersonHistory
from bihuan_attribution.reconcile.changed_limits import SpanClick, too_many
from bihuan_attribution.reconcile.lake_tables import TABLES
from bihuan_shared.lake import Lake

MEMORY: Final = "256MB"
"""What DuckDB may hold in memory, beside what it is reading; what does not fit goes to its file."""
THREADS: Final = 2
_PAGE: Final = 10_000
_WHO: Final = pa.schema(
    [
        *((name, pa.int64()) for name in ("person_id", "after_position", "until_position", "who")),
        ("sighting_id", pa.uint64()),
    ]
)
_CIRCLES: Final = pa.schema([("person_id", pa.int64()), ("circle", pa.int64()), ("sighting_id", pa.uint64())])
_EXCESS: Final = pa.schema([("position", pa.int64()), ("rule", pa.int32()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to where the lake is read: a position of the event log, and a number of the journal of operations."""

    position: int
    last_operation: int


@dataclass(frozen=True, slots=True)
class Folded:
    """
    What the lake says: nanos by (currency, account), what was charged by currency, and events by reason.

    `event_count` is how many positions of the log the lake holds.
    """

    accounts: dict[tuple[str, str], int]
    charged: dict[str, int]
    reasons: dict[str, int]
    event_count: int


class Interrupted(Exception):  # noqa: N818  # it is no error of the fold
    """The fold was told to stop."""


class Fold:
    """
    One run over the lake; `run` blocks for as long as it takes, `interrupt` may be called from any thread.

    About 60 MB for a million events go to a file in `scratch`, or where temporary files are.
    """

    def __init__(self, lake: Lake, cut: Cut, scratch: Path | None = None) -> None:
        self._lake = lake
        self._cut = cut
        self._scratch = scratch
        self._stopped = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def interrupt(self) -> None:
        """Let `run` raise `Interrupted` soon."""
        self._stopped = True
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def run(self) -> Folded:
        """Fold; OSError where the lake cannot be read."""
        if self._scratch is not None:
            self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="bihuan-reconcile-", dir=self._scratch) as folder:
            connection = duckdb.connect(
                Path(folder) / "fold.duckdb", config={"memory_limit": MEMORY, "threads": str(THREADS)}
            )
            try:
                self._connection = connection
                return self._fold(connection)
            except duckdb.InterruptException as error:
                raise Interrupted from error
            finally:
                self._connection = None
                connection.close()

    def _fold(self, connection: duckdb.DuckDBPyConnection) -> Folded:
        connection.execute("SET preserve_insertion_order = false")
        for dataset, schema in TABLES.items():
            connection.register(f"lake_{dataset}", self._lake.dataset(dataset, schema))
        rows, positions = self._measure(connection)
        for name in ("10_rules", "20_terms", "30_events"):
            self._script(connection, name)
        if rows > positions:
            self._script(connection, "31_repeated")
        for name in ("32_counted", "34_prices"):
            self._script(connection, name)
        self._tell_persons(connection)
        self._script(connection, "40_spans")
        _note_changed_limits(connection)
        for name in ("50_charges", "60_orders", "70_accounts", "80_reasons"):
            self._script(connection, name)
        return _folded(connection, positions)

    def _measure(self, connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
        """Set what the statements refer to; the answer is how many rows of events there are, and positions."""
        upto = self._cut.position
        query = """
            SELECT count(*), count(DISTINCT log_position), coalesce(max(receive_time_us), 0)
            FROM lake_events WHERE log_position <= ?
        """
        rows, positions, latest_us = _row(connection.execute(query, [upto]))
        connection.execute(f"SET VARIABLE upto = {upto}::BIGINT")
        connection.execute(f"SET VARIABLE last_operation = {self._cut.last_operation}::BIGINT")
        connection.execute(f"SET VARIABLE latest_us = {latest_us}::BIGINT")
        return rows, positions

    def _script(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        text = (files("bihuan_attribution.reconcile") / "sql" / f"{name}.sql").read_text()
        for statement in connection.extract_statements(text):
            if self._stopped:
                raise Interrupted
            connection.execute(statement)

    def _tell_persons(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables `who` and `circles` for what was told of persons that identity changed its mind about."""
        history = PersonHistory()
        query = "SELECT DISTINCT ON (change_id) position, content, change_id FROM lake_persons ORDER BY change_id"
        for position, content, _ in _pages(connection.execute(query)):
            change = json.loads(content)
            history.add(position, change["before"], {int(person): sightings for person, sightings in change["parts"]})
        told = [one for one in _pages(connection.execute("FROM told")) if history.concerns(one)]
        for one in told:
            # All unions come before the first circle is asked for.
            history.circle(one)
        who = [(one[0], *span, one[1]) for one in told for span in history.spans(one)]
        circles = [(one[0], history.circle(one), one[1]) for one in told]
        _create(connection, "who", _WHO, who)
        _create(connection, "circles", _CIRCLES, circles)


def _note_changed_limits(connection: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT rule, reason, span, most, position, counted, received_us, token_id
        FROM spans SEMI JOIN mixed_spans USING (rule, span) ORDER BY rule, span, counted
    """
    clicks = (SpanClick(*row) for row in _pages(connection.execute(query)))
    _create(connection, "excess_of_changed_limits", _EXCESS, list(too_many(clicks)))
    connection.execute("INSERT INTO excess FROM excess_of_changed_limits")


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, rows: Sequence[tuple[int | str, ...]]
) -> None:
    columns = [pa.array([row[index] for row in rows], field.type) for index, field in enumerate(schema)]
    connection.register("rows_to_keep", pa.table(columns, schema=schema))
    connection.execute(f"CREATE TABLE {name} AS FROM rows_to_keep")
    connection.unregister("rows_to_keep")


def _folded(connection: duckdb.DuckDBPyConnection, event_count: int) -> Folded:
    accounts = connection.execute("SELECT currency, account, sum(nanos) FROM moves GROUP BY ALL HAVING sum(nanos) <> 0")
    sums = {(currency, account): int(nanos) for currency, account, nanos in accounts.fetchall()}
    charged = connection.execute("SELECT currency, sum(nanos) FROM moves WHERE charged GROUP BY currency").fetchall()
    reasons = connection.execute("SELECT reason, sum(events) FROM reasons GROUP BY reason").fetchall()
    return Folded(
        sums,
        {currency: int(nanos) for currency, nanos in charged},
        {reason: int(events) for reason, events in reasons},
        event_count,
    )


def _row(result: duckdb.DuckDBPyConnection) -> tuple[int, ...]:
    row = result.fetchone()
    assert row is not None, "an aggregate has a row"
    return row


def _pages(result: duckdb.DuckDBPyConnection) -> Iterable[tuple]:  # type: ignore[type-arg]  # as DuckDB types rows
    while page := result.fetchmany(_PAGE):
        yield from page
