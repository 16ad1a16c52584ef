"""Reads Open Bandit: one real impression a row, with its click and its propensity, and no person."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True, slots=True)
class BanditRow:
    """
    One impression.

    `row` is its number in the file, `position` the slot (1 left, 2 centre, 3 right), `propensity` the probability with
    which the logging policy chose the item.
    """

    row: int
    time_us: int
    item_id: int
    position: int
    clicked: bool
    propensity: float


def read_impressions(folder: Path, policy: str, group: str) -> Iterator[BanditRow]:
    """Yield the rows of one file in the order of their time, ties by row number."""
    path = folder / "obp" / "dataset" / "obd" / policy / group / f"{group}.csv"
    with duckdb.connect() as connection:
        rows = connection.execute(
            """
            select column00 as row, epoch_us(timestamp) as time_us, item_id, position, click,
                   propensity_score
            from read_csv(?, header = true)
            order by time_us, row
            """,
            [str(path)],
        ).fetchall()
    for row, time_us, item_id, position, click, propensity in rows:
        yield BanditRow(row, time_us, item_id, position, bool(click), propensity)
