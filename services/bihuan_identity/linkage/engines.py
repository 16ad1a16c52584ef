"""Where the comparisons run: DuckDB on this machine, or Spark on many. Nothing else knows which."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import duckdb

from bihuan_shared.errors import FailedPrecondition

if TYPE_CHECKING:
    from splink.internals.splink_dataframe import SplinkDataFrame

EngineName = Literal["duckdb", "spark"]


class Engine(Protocol):
    """Loads prepared records; what Splink answers for them stays where they are until it is fetched."""

    def load(self, paths: Sequence[Path]) -> "list[SplinkDataFrame]":
        """Make each Parquet file a table, in order."""

    def close(self) -> None:
        """Give up the tables and whatever was started for them."""


class DuckDbEngine:
    """DuckDB in this process."""

    def __init__(self) -> None:
        from splink import DuckDBAPI  # noqa: PLC0415  # the extra may be missing until it is needed

        self._connection = duckdb.connect()
        # Sums in parallel differ in the last digits from run to run, and a repeated run must find the same links.
        self._connection.execute("set threads = 1")
        self._api = DuckDBAPI(self._connection)

    def load(self, paths: Sequence[Path]) -> "list[SplinkDataFrame]":
        """Copy each file into a table."""
        frames = []
        for at, path in enumerate(paths):
            self._connection.read_parquet(str(path)).to_table(f"records_{at}")
            frames.append(self._api.register(f"records_{at}", dataset_display_name=f"source_{at}"))
        return frames

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


class SparkEngine:
    """
    Spark, through the session that the environment configures (`spark-submit`, SPARK_REMOTE, spark-defaults.conf).

    The folder that records are prepared in must be one that every worker reads.
    """

    def __init__(self) -> None:
        try:
            from pyspark.sql import SparkSession  # noqa: PLC0415  # not a dependency: whoever has a cluster has it
        except ImportError:
            detail = "the Spark engine needs PySpark and Java: pip install 'splink[pyspark]' where the job runs"
            raise FailedPrecondition(detail) from None
        from splink import SparkAPI  # noqa: PLC0415  # imports pyspark
        from splink.backends.spark import similarity_jar_location  # noqa: PLC0415  # as above

        builder = SparkSession.builder.appName("bihuan link-records")
        self._session = builder.config("spark.jars", similarity_jar_location()).getOrCreate()
        api = SparkAPI(spark_session=self._session, break_lineage_method="persist")  # type: ignore[no-untyped-call]  # the library leaves it out
        self._api = api

    def load(self, paths: Sequence[Path]) -> "list[SplinkDataFrame]":
        """Make each file a view."""
        frames = []
        for at, path in enumerate(paths):
            records = self._session.read.parquet(path.resolve().as_uri())
            frames.append(self._api.register(records, dataset_display_name=f"source_{at}"))
        return frames

    def close(self) -> None:
        """End the session."""
        self._session.stop()


def open_engine(name: EngineName) -> Engine:
    """
    Start an engine.

    Raises FailedPrecondition where what it needs is not installed.
    """
    # Splink reports progress and advice as log lines; the job has its own, and its log must stay free of data.
    logging.getLogger("splink").setLevel(logging.ERROR)
    try:
        return DuckDbEngine() if name == "duckdb" else SparkEngine()
    except ModuleNotFoundError as error:
        if error.name != "splink":
            raise
        raise FailedPrecondition("record linkage needs Splink: pip install 'bihuan[linkage]'") from None
