"""Many rows into one table: the statement is compiled once, because per-row parameters cost more than the insert."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

import sqlalchemy as sa


@lru_cache(maxsize=64)
def _compiled(table: sa.Table, dialect: sa.Dialect, names: tuple[str, ...]) -> tuple[str, tuple[str, ...] | None]:
    compiled = table.insert().compile(dialect=dialect, column_keys=list(names))
    positions = getattr(compiled, "positiontup", None)
    return str(compiled), tuple(positions) if positions else None


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """
    Insert rows that all have the same columns, as they are: values must be what the driver takes (no booleans).

    Raises IntegrityError where a row breaks a rule of the table.
    """
    if not rows:
        return
    statement, positions = _compiled(table, connection.dialect, tuple(rows[0]))
    if positions is None:
        connection.exec_driver_sql(statement, [dict(row) for row in rows])
    elif len(positions) == 1:
        connection.exec_driver_sql(statement, [(row[positions[0]],) for row in rows])
    else:
        connection.exec_driver_sql(statement, [*map(itemgetter(*positions), rows)])
