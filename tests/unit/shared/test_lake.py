"""Parquet files that appear whole, under the name that the caller gave, in the hour of their latest row."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bihuan_shared.clock import DAY_US, HOUR_US, parse_rfc3339_us
from bihuan_shared.lake import Lake, LocalLakeStore, open_lake

NOON_US = parse_rfc3339_us("2017-08-15T12:00:00Z")
SCHEMA = pa.schema([("n", pa.int64())])


async def test_file_lies_in_the_utc_hour_and_holds_no_partition_column(tmp_path: Path) -> None:
    path = await open_lake(str(tmp_path)).write("events", "part-1", {"n": [1]}, time_us=NOON_US + HOUR_US - 1)
    assert path == "events/date=2017-08-15/hour=12/part-1.parquet"
    assert pq.ParquetFile(tmp_path / path).schema_arrow.names == ["n"]


async def test_hours_before_the_epoch_and_at_its_edges_are_told_apart(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path))
    paths = [await lake.write("events", "p", {"n": [1]}, time_us=time_us) for time_us in (-1, 0, DAY_US)]
    assert [path.split("/", 1)[1] for path in paths] == [
        "date=1969-12-31/hour=23/p.parquet", "date=1970-01-01/hour=00/p.parquet", "date=1970-01-02/hour=00/p.parquet",
    ]  # fmt: skip


async def test_repetition_under_one_name_replaces(tmp_path: Path) -> None:
    lake = open_lake(tmp_path.as_uri())
    for count in (3, 2):
        await lake.write("events", "part", {"n": list(range(count))}, time_us=NOON_US)
    (file,) = lake.list("events")
    assert pq.ParquetFile(tmp_path / file).metadata.num_rows == 2
    assert [entry.name for entry in (tmp_path / file).parent.iterdir()] == ["part.parquet"]


async def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "events" / "date=2017-08-15" / "hour=12"
    (folder / "part.parquet").mkdir(parents=True)
    lake = open_lake(str(tmp_path))
    with pytest.raises(OSError):
        await lake.write("events", "part", {"n": [1]}, time_us=NOON_US)
    assert [entry.name for entry in folder.iterdir()] == ["part.parquet"]
    assert lake.list("events") == []


async def test_only_whole_files_of_a_partition_are_files_of_a_dataset(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path))
    path = await lake.write("events", "part", {"n": [1]}, time_us=NOON_US)
    folder = (tmp_path / path).parent
    for name in (".part.parquet.0.draft", "part.parquet.tmp", ".hidden.parquet", "_SUCCESS"):
        (folder / name).write_bytes(b"PAR1")
    (folder / "empty.parquet").touch()
    for other in (tmp_path / "events", tmp_path / "events" / "other"):
        other.mkdir(exist_ok=True)
        (other / "part.parquet").write_bytes(b"PAR1")
    assert lake.list("events") == [path]
    assert lake.dataset("events", SCHEMA).count_rows() == 1


@pytest.mark.parametrize("name", ["", ".", "..", "../escape", "a/b", "a\\b", ".hidden", "a b", "ä", "a\n", "x" * 201])
async def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    lake = open_lake(str(tmp_path))
    with pytest.raises(ValueError, match="named in"):
        await lake.write("events", name, {"n": [1]}, time_us=NOON_US)
    with pytest.raises(ValueError, match="named in"):
        await lake.write(name, "part", {"n": [1]}, time_us=NOON_US)
    with pytest.raises(ValueError, match="named in"):
        lake.list(name)
    with pytest.raises(ValueError, match="named in"):
        lake.dataset(name, SCHEMA)


@pytest.mark.parametrize("column", ["date", "hour"])
async def test_columns_that_would_hide_a_partition_are_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(ValueError, match="partitions"):
        await open_lake(str(tmp_path)).write("events", "part", {column: [1]}, time_us=NOON_US)


async def test_any_store_can_be_behind_a_lake(tmp_path: Path) -> None:
    lake = Lake(LocalLakeStore(tmp_path / "other"))
    path = await lake.write("events", "part", {"n": [1]}, time_us=NOON_US)
    assert (tmp_path / "other" / path).is_file()
