"""A lake is the same in a folder and in a bucket: whole files, replaced by repetition, read as one dataset."""

import asyncio
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from traceback import format_exception

import dask
import dask.dataframe as dd
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bihuan_shared.clock import HOUR_US, parse_rfc3339_us
from bihuan_shared.embedded import free_port
from bihuan_shared.lake import Lake, LakeStore, LocalLakeStore, ObjectLakeStore, open_lake
from bihuan_shared.lake_url import FolderPlace, parse_lake_url

NOON_US = parse_rfc3339_us("2017-08-15T12:59:59Z")
ITEM = pa.struct([("item_id", pa.string()), ("quantity", pa.int64()), ("tags", pa.list_(pa.string()))])
SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64()), ("sighting_id", pa.uint64()), ("items", pa.list_(ITEM))])
ROWS = [
    {"id": "a", "n": 1, "sighting_id": 2**64 - 1, "items": []},
    {"id": "b", "n": 2, "sighting_id": 0, "items": [{"item_id": "i1", "quantity": 2, "tags": ["x", "y"]}]},
    {"id": "c", "n": 3, "sighting_id": 1, "items": [{"item_id": "i2", "quantity": 1, "tags": []}]},
]


@pytest.fixture(params=["folder", "bucket"])
def lake_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "lake")
    url = request.getfixturevalue("bucket_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def lake(lake_url: str) -> Lake:
    return open_lake(lake_url)


def store_of(url: str) -> LakeStore:
    place = parse_lake_url(url)
    return LocalLakeStore(place.root) if isinstance(place, FolderPlace) else ObjectLakeStore(place)


def encoded(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()


def rows_of(lake: Lake) -> list[dict[str, object]]:
    found: list[dict[str, object]] = lake.dataset("events", SCHEMA).to_table(columns=SCHEMA.names).to_pylist()
    return sorted(found, key=lambda row: str(row["id"]))


async def fill(lake: Lake) -> None:
    """The rows in files of two hours."""
    await lake.write("events", "1-2", pa.Table.from_pylist(ROWS[:2], SCHEMA), time_us=NOON_US)
    await lake.write("events", "3-3", pa.Table.from_pylist(ROWS[2:], SCHEMA), time_us=NOON_US + HOUR_US)


async def test_rows_are_read_back_with_their_partition(lake: Lake) -> None:
    await fill(lake)
    assert lake.list("events") == [
        "events/date=2017-08-15/hour=12/1-2.parquet",
        "events/date=2017-08-15/hour=13/3-3.parquet",
    ]
    assert rows_of(lake) == ROWS
    partitions = lake.dataset("events", SCHEMA).to_table(columns=["id", "date", "hour"]).sort_by("id").to_pydict()
    assert partitions == {"id": ["a", "b", "c"], "date": [date(2017, 8, 15)] * 3, "hour": [12, 12, 13]}


async def test_a_repeated_range_replaces_itself(lake: Lake) -> None:
    for count in (3, 2):
        await lake.write("events", "1-3", pa.Table.from_pylist(ROWS[:count], SCHEMA), time_us=NOON_US)
    await asyncio.gather(*(fill(lake) for _ in range(3)))
    await lake.write("events", "1-3", pa.Table.from_pylist(ROWS[:1], SCHEMA), time_us=NOON_US)
    assert len(lake.list("events")) == 3
    assert [row["id"] for row in rows_of(lake)] == ["a", "a", "b", "c"]


async def test_an_absent_dataset_is_empty_and_has_the_callers_columns(lake: Lake) -> None:
    await lake.write("event", "1", {"id": ["x"]}, time_us=NOON_US)
    dataset = lake.dataset("events", SCHEMA)
    assert (lake.list("events"), dataset.files) == ([], [])
    assert dataset.to_table().schema.names == [*SCHEMA.names, "date", "hour"]
    with duckdb.connect() as connection:
        connection.register("events", dataset)
        assert connection.sql("SELECT * FROM events WHERE n > 1").fetchall() == []


async def test_files_without_hours_and_without_later_columns_are_read_as_well(lake_url: str) -> None:
    lake = open_lake(lake_url)
    old = pa.table({"id": ["0"], "n": pa.array([7], pa.int32()), "dropped": ["x"]})
    store_of(lake_url).put("events/date=2017-08-01/1-2.parquet", encoded(old))
    await fill(lake)
    assert rows_of(lake) == [{"id": "0", "n": 7, "sighting_id": None, "items": None}, *ROWS]
    first = lake.dataset("events", SCHEMA).to_table(columns=["date", "hour"]).to_pylist()[0]
    assert first == {"date": date(2017, 8, 1), "hour": None}


async def test_duckdb_prunes_by_partition_and_reads_only_what_it_needs(lake_url: str) -> None:
    lake = open_lake(lake_url)
    await fill(lake)
    broken = encoded(pa.table({"id": ["z"]})).slice(0, 40)
    store_of(lake_url).put("events/date=2017-08-16/hour=00/4-4.parquet", broken)
    with duckdb.connect() as connection:
        connection.register("events", lake.dataset("events", SCHEMA))
        query = "SELECT id, sighting_id, items FROM events WHERE n >= 2 AND date < DATE '2017-08-16' ORDER BY id"
        found = connection.sql(query).fetchall()
        assert found == [(row["id"], row["sighting_id"], row["items"]) for row in ROWS[1:]]
        with pytest.raises(duckdb.Error):
            connection.sql("SELECT id FROM events").fetchall()


async def test_dask_reads_what_was_written(lake_url: str) -> None:
    await fill(open_lake(lake_url))
    frame = dd.read_parquet("events", filesystem=store_of(lake_url).files(), columns=["id", "n", "sighting_id"])
    with dask.config.set(scheduler="synchronous"):
        read = frame[frame.n >= 2].compute().sort_values("id")
    assert read.to_dict("records") == [{name: row[name] for name in ("id", "n", "sighting_id")} for row in ROWS[1:]]


async def test_duckdb_reads_a_folder_by_itself(tmp_path: Path) -> None:
    await fill(open_lake(str(tmp_path)))
    with duckdb.connect() as connection:
        files = str(tmp_path / "events" / "date=*" / "**" / "*.parquet")
        relation = connection.read_parquet(files, hive_partitioning=True).order("id")
        assert relation.project("id, n, sighting_id, items").fetchall() == [tuple(row.values()) for row in ROWS]
        assert relation.project("date, hour").distinct().order("hour").fetchall() == [
            (date(2017, 8, 15), 12), (date(2017, 8, 15), 13),
        ]  # fmt: skip


async def test_rows_are_taken_out_of_a_file_and_the_last_ones_take_it_along(lake: Lake) -> None:
    await fill(lake)
    first, second = lake.list("events")
    whole = lake.read(first)
    assert whole.to_pylist() == ROWS[:2]
    assert lake.read(first, columns=["id"]).to_pydict() == {"id": ["a", "b"]}
    await lake.replace(first, whole.slice(1))
    assert rows_of(lake) == ROWS[1:]
    await lake.replace(second, whole.slice(2))
    assert (lake.list("events"), rows_of(lake)) == ([first], [ROWS[1]])
    for _ in range(2):
        await lake.remove(first)
    assert lake.list("events") == []
    with pytest.raises(FileNotFoundError):
        lake.read(first)


@pytest.mark.parametrize("path", ["events", "events/1.parquet", "../events/date=2017-08-15/1.parquet", "/etc/passwd"])
async def test_only_files_of_a_dataset_are_removed_or_replaced(lake: Lake, path: str) -> None:
    for work in (lake.remove(path), lake.replace(path, pa.table({"id": ["a"]}))):
        with pytest.raises(ValueError, match=r"lake|named"):
            await work


async def test_a_removed_file_is_written_again_in_its_place(lake: Lake) -> None:
    await fill(lake)
    for path in lake.list("events"):
        await lake.remove(path)
    await fill(lake)
    assert rows_of(lake) == ROWS


KILLED_IN_A_FOLDER = """
import asyncio, os, sys, time
from bihuan_shared import lake
def stop(file):
    print("there", flush=True)
    time.sleep(600)
os.fsync = stop
asyncio.run(lake.open_lake(sys.argv[1]).write("events", "1-2", {"id": ["a"] * 1000}, time_us=0))
"""
KILLED_AT_A_BUCKET = """
import os, sys, time
from bihuan_shared import lake, lake_url
stream = lake.ObjectLakeStore(lake_url.parse_lake_url(sys.argv[1])).files().open_output_stream(
    "events/date=1970-01-01/hour=00/1-2.parquet", buffer_size=0)
stream.write(os.urandom(12_000_000))
print("there", flush=True)
time.sleep(600)
"""


def test_a_killed_writer_leaves_nothing_to_read(lake_url: str) -> None:
    script = KILLED_AT_A_BUCKET if lake_url.startswith("s3:") else KILLED_IN_A_FOLDER
    with subprocess.Popen([sys.executable, "-c", script, lake_url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"there\n"
        writer.send_signal(signal.SIGKILL)
    assert open_lake(lake_url).list("events") == []
    assert rows_of(open_lake(lake_url)) == []


def test_a_file_of_many_parts_is_stored_whole(lake_url: str) -> None:
    store, path = store_of(lake_url), "events/date=2017-08-15/hour=12/1-2.parquet"
    content = random.Random(3).randbytes(25_000_001)
    store.put(path, pa.py_buffer(content))
    with store.files().open_input_file(path) as file:
        assert file.read() == content


async def test_a_store_that_refuses_is_an_os_error_without_secrets(lake_url: str, tmp_path: Path) -> None:
    if lake_url.startswith("s3:"):
        lake_url = re.sub("s3://[^/]*", "s3://what-nobody-may-see", lake_url)
    else:
        (tmp_path / "lake").write_text("in the way")
    with pytest.raises(OSError) as refused:
        await open_lake(lake_url).write("events", "1", {"id": ["a"]}, time_us=0)
    assert "what-nobody-may-see" not in "".join(format_exception(refused.value))


def test_a_bucket_that_does_not_exist_or_answer_is_no_empty_lake(bucket_url: str) -> None:
    absent = re.sub("s3://[^/]*", "s3://what-nobody-may-see", bucket_url)
    silent = re.sub("127.0.0.1:[0-9]*", f"127.0.0.1:{free_port()}", bucket_url)
    for url in (absent, silent):
        with pytest.raises(OSError, match="bucket") as refused:
            open_lake(url).dataset("events", SCHEMA)
        assert "what-nobody-may-see" not in "".join(format_exception(refused.value))


class _LosesParts(BaseHTTPRequestHandler):
    """Begins an upload of parts, refuses each part, and notes what it was asked for."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        started = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
        self._answer(200, f'<?xml version="1.0" encoding="UTF-8"?>{started}'.encode())

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        self._answer(400, b"")

    def do_DELETE(self) -> None:
        self.asked.append(self.path)
        self._answer(204, b"")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the library's
        pass


@pytest.fixture
def loses_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    asked: list[str] = []
    handler = type("Handler", (_LosesParts,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"s3://lake?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_an_object_whose_part_was_lost_is_never_completed(loses_parts: tuple[str, list[str]]) -> None:
    url, asked = loses_parts
    with pytest.raises(OSError, match="bucket"):
        store_of(url).put("events/date=2017-08-15/hour=12/1-2.parquet", pa.py_buffer(bytes(25_000_000)))
    begun = [path for path in asked if path.endswith("?uploads")]
    completed = [path for path in asked if "uploadId=" in path and "partNumber" not in path]
    assert (len(begun), completed) == (1, [])
