"""Parquet files that appear whole, under the name that the caller gave."""

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from bihuan_shared.lake import LakeWriter, LocalLakeStore, dataset_files, dataset_glob, local_root, utc_date

NOON_US = parse_rfc3339_us("2017-08-15T12:00:00Z")


async def test_rows_are_read_back_with_their_day(tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path))
    path = await writer.write("events", "part-1", {"id": ["a", "b"], "n": [1, 2]}, time_us=NOON_US)
    await writer.write("events", "part-2", pa.table({"id": ["c"], "n": [3]}), time_us=NOON_US + DAY_US)
    assert path == "events/date=2017-08-15/part-1.parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select id, n, date from read_parquet(?, hive_partitioning=true) order by id",
            [dataset_glob(str(tmp_path), "events")],
        ).fetchall()
    first, second = date(2017, 8, 15), date(2017, 8, 16)
    assert rows == [("a", 1, first), ("b", 2, first), ("c", 3, second)]


async def test_repetition_under_one_name_replaces(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path.as_uri())
    for count in (3, 2):
        await writer.write("events", "part", {"n": list(range(count))}, time_us=NOON_US)
    (file,) = dataset_files(str(tmp_path), "events")
    assert pa.parquet.read_table(file).num_rows == 2
    assert [entry.name for entry in file.parent.iterdir()] == ["part.parquet"]


async def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "events" / "date=2017-08-15" / "part.parquet").mkdir(parents=True)
    with pytest.raises(OSError):
        await LakeWriter(str(tmp_path)).write("events", "part", {"n": [1]}, time_us=NOON_US)
    assert [entry.name for entry in (tmp_path / "events" / "date=2017-08-15").iterdir()] == ["part.parquet"]


def test_absent_dataset_has_no_files(tmp_path: Path) -> None:
    assert dataset_files(str(tmp_path), "events") == []


@pytest.mark.parametrize("name", ["", "../escape", "a/b", ".hidden", "a b", "ä"])
async def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    writer = LakeWriter(str(tmp_path))
    with pytest.raises(ValueError, match="named in"):
        await writer.write("events", name, {"n": [1]}, time_us=NOON_US)
    with pytest.raises(ValueError, match="named in"):
        await writer.write(name, "part", {"n": [1]}, time_us=NOON_US)


@pytest.mark.parametrize("url", ["s3://bucket/lake", "https://host/lake", "file://elsewhere/lake"])
def test_lake_that_is_not_local_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not supported yet"):
        LakeWriter(url)


def test_local_root_reads_paths_and_file_urls() -> None:
    assert local_root("/a b/lake") == Path("/a b/lake")
    assert local_root("file:///a%20b/lake") == Path("/a b/lake")


def test_partition_is_the_utc_day() -> None:
    assert [utc_date(time_us) for time_us in (-1, 0, DAY_US)] == [
        date(1969, 12, 31),
        date(1970, 1, 1),
        date(1970, 1, 2),
    ]


async def test_any_store_can_be_behind_a_writer(tmp_path: Path) -> None:
    store = LocalLakeStore(tmp_path / "other")
    path = await LakeWriter(store).write("events", "part", {"n": [1]}, time_us=NOON_US)
    assert (tmp_path / "other" / path).is_file()
