"""
A boolean expression of 10 tags over 10⁸ synthetic people: the tag index beside DuckDB on the same data, in one run.

The index answers from its stored files, as a server does after a start, on one core. DuckDB has the people as a table
of its own format with the narrowest types that hold them (text as one-byte codes, which spares it comparing texts), on
one core too; with all cores it is told beside it. Queries of other shapes (`and`, `or`, `not`, ranges, interests) are
told as `query_shapes_ms`, with their median and the slowest; of each both give the same count. Every query is evaluated
anew each time, on bitmaps that were read from the files before. Then the index takes in changes of profiles, in batches
as they come from the stream, and is asked again. `run` gives the figures; as a script this writes
`.bihuan/bench/tag-index.json`. It takes 6 GB of memory and 5 GB of disk at full size.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from figures import commit, machine, write
from pyroaring import BitMap
from tag_index_queries import MIXED, QUERIES

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.tag_index import content as keys
from bihuan_scoring.tag_index.column import put_column
from bihuan_scoring.tag_index.content import Content, bitmap_of
from bihuan_scoring.tag_index.drafting import drafted
from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.manifest import loaded, stored
from bihuan_scoring.tag_index.persons import size_of
from bihuan_scoring.tag_index.segment_file import BitmapCache
from bihuan_shared.targeting import parse

NOW_US: Final = 1_800_000_000_000_000
CACHE_BYTES: Final = 1 << 30
REPEATS: Final = 9
BATCH: Final = 1_000
"""Persons that change between two looks at the stream."""
BATCHES: Final = 60
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "gender": ("f", "m", "x"),
    "region": tuple(f"r{number}" for number in range(24)),
    "device": ("phone", "desktop", "tablet", "tv"),
    "language": ("en", "zh", "es", "fr", "de"),
}
SHARES: Final[Mapping[str, tuple[float, ...]]] = {
    "gender": (0.48, 0.48, 0.04),
    "region": tuple(1 / (rank + 2) / sum(1 / (each + 2) for each in range(24)) for rank in range(24)),
    "device": (0.6, 0.25, 0.1, 0.05),
    "language": (0.45, 0.25, 0.15, 0.1, 0.05),
}
Numbers = npt.NDArray[Any]
Found = TypeVar("Found")


def run(people: int = 10**8) -> dict[str, object]:
    """Measure over so many people; figures carry the size in their names as a power of ten, e.g. `query_ms_1e8`."""
    folder = Path(tempfile.mkdtemp(prefix="bihuan-tag-index-"))
    try:
        columns = _people(people)
        theirs = _duckdb(folder / "people.duckdb", columns)
        built, build_s = _timed(lambda: _content(columns, people))
        columns.clear()
        ours = _index(folder / "index", built)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = f"1e{len(str(people)) - 1}"
    if ours["counts"] != theirs["counts"]:
        raise AssertionError(f"the index finds {ours['counts']}, DuckDB {theirs['counts']}")
    query_ms, duckdb_ms = _number(ours["query_ms"]), _number(theirs["query_ms"])
    return {
        "people": people,
        "matching": ours.pop("counts"),
        f"query_ms_{size}": query_ms,
        f"duckdb_query_ms_{size}": duckdb_ms,
        f"duckdb_all_cores_query_ms_{size}": theirs["all_cores_query_ms"],
        "duckdb_ratio": round(duckdb_ms / query_ms, 1),
        f"query_cpu_ms_{size}": ours.pop("query_cpu_ms"),
        f"duckdb_query_cpu_ms_{size}": theirs["query_cpu_ms"],
        "duckdb_mib": theirs["mib"],
        "build_s": round(build_s, 1),
        **{key: value for key, value in ours.items() if key != "query_ms"},
    }


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def _people(count: int) -> dict[str, Numbers]:
    """One narrow column a tag; NaN where a number is not known."""
    random = np.random.default_rng(20_180_723)
    columns: dict[str, Numbers] = {}
    for name, shares in SHARES.items():
        cuts = np.cumsum(shares[:-1]).astype(np.float32)
        columns[name] = np.searchsorted(cuts, random.random(count, dtype=np.float32)).astype(np.uint8)
    columns["age"] = (18 + 72 * random.beta(2, 3, count)).astype(np.uint8)
    for name, share in (("member", 0.3), ("lapsed", 0.2)):
        columns[name] = random.random(count, dtype=np.float32) < share
    for name, share, scale in (("spend", 0.4, 100.0), ("skincare", 0.2, 0.4), ("shoes", 0.1, 0.4)):
        values = random.standard_exponential(count, dtype=np.float32) * np.float32(scale)
        values[random.random(count, dtype=np.float32) >= share] = np.nan
        columns[name] = values
    return columns


def _duckdb(path: Path, columns: Mapping[str, Numbers]) -> dict[str, object]:
    with duckdb.connect(str(path)) as connection:
        arrays = {
            name: pa.array(values, from_pandas=True) if values.dtype.kind == "f" else pa.array(values)
            for name, values in columns.items()
        }
        connection.register("arrays", pa.table(arrays))
        connection.execute("CREATE TABLE people AS SELECT * FROM arrays")
        connection.unregister("arrays")
        connection.execute("CHECKPOINT")
        figures: dict[str, object] = {}
        for name, threads in (("query_ms", 1), ("all_cores_query_ms", None)):
            connection.execute("RESET threads" if threads is None else f"SET threads = {threads}")
            _, figures[name] = _median_ms(lambda: _count(connection), 5)
            if threads == 1:
                figures["query_cpu_ms"] = _cpu_ms(lambda: _count(connection), 3)
        figures["counts"] = {shape: _count(connection, shape) for shape in QUERIES}
    return {**figures, "mib": path.stat().st_size >> 20}


def _count(connection: Any, shape: str = MIXED) -> int:  # noqa: ANN401  # the library is untyped
    return int(connection.execute(f"SELECT count(*) FROM people WHERE {QUERIES[shape][1]}").fetchone()[0])  # noqa: S608


def _content(columns: Mapping[str, Numbers], people: int) -> Content:
    """The segment of everyone, as a build from profiles leaves it."""
    bitmaps: dict[str, BitMap] = {}
    arrays: dict[str, Numbers] = {}
    bitmaps[keys.PERSONS] = bitmaps[keys.COVERS] = _run_of(people)
    for name, values in TEXTS.items():
        bitmaps[keys.texts_key(name)] = bitmaps[keys.PERSONS]
        for code, value in enumerate(values):
            bitmaps[keys.text_key(name, value)] = bitmap_of(_where(columns[name] == code))
    for flag in (False, True):
        bitmaps[keys.flag_key("member", value=flag)] = bitmap_of(_where(columns["member"] == flag))
    bitmaps[keys.segment_key("lapsed")] = bitmap_of(_where(columns["lapsed"]))
    for key, name in (
        (keys.number_key("age"), "age"),
        (keys.number_key("spend"), "spend"),
        (keys.interest_key("skincare"), "skincare"),
        (keys.interest_key("shoes"), "shoes"),
    ):
        persons = _where(~np.isnan(columns[name]))
        put_column(bitmaps, arrays, key, persons, columns[name][persons])
    return Content(0, NOW_US, bitmaps, arrays)


def _run_of(people: int) -> BitMap:
    everyone = BitMap(range(people))
    everyone.run_optimize()
    return everyone


def _where(mask: Numbers) -> Numbers:
    return np.flatnonzero(mask).astype(np.uint32)


def _index(folder: Path, content: Content) -> dict[str, object]:
    stored(folder, TagIndex.of([content]), BitmapCache(CACHE_BYTES), "0-0", NOW_US, NOW_US)
    people = len(content.persons)
    mib = sum(path.stat().st_size for path in folder.iterdir()) >> 20
    del content
    (_, index), open_s = _timed(lambda: loaded(folder, BitmapCache(CACHE_BYTES)))
    expressions = {shape: parse(text) for shape, (text, _) in QUERIES.items()}

    def ask(asked: TagIndex, shape: str = MIXED) -> int:
        return size_of(asked.members(expressions[shape], NOW_US, lambda _name, _block: BitMap()))

    _, cold_s = _timed(lambda: ask(index))
    asked = {shape: _median_ms(partial(ask, index, shape), REPEATS) for shape in QUERIES}
    shapes_ms = {shape: took_ms for shape, (_, took_ms) in asked.items()}
    changed, updates = _changed(index, people)
    _, changed_ms = _median_ms(lambda: ask(changed), REPEATS)
    return {
        "counts": {shape: count for shape, (count, _) in asked.items()},
        "query_ms": shapes_ms[MIXED],
        "query_shapes_ms": shapes_ms,
        "query_shapes_median_ms": round(statistics.median(shapes_ms.values()), 1),
        "query_shapes_worst_ms": max(shapes_ms.values()),
        "query_cpu_ms": _cpu_ms(lambda: ask(index), REPEATS),
        "open_ms": round(open_s * 1_000, 1),
        "first_query_ms": round(cold_s * 1_000, 1),
        "index_mib": mib,
        **updates,
        "query_after_updates_ms": changed_ms,
    }


def _changed(index: TagIndex, people: int) -> tuple[TagIndex, dict[str, object]]:
    """The index after batches of changed persons, and how fast it took them."""
    random = np.random.default_rng(7)
    took_s = []
    for _ in range(BATCHES):
        readings = list(_readings(random, people))
        started_s = time.perf_counter()
        index = index.with_changes(drafted(readings, NOW_US), NOW_US)
        took_s.append(time.perf_counter() - started_s)
    return index, {
        "updates_per_s": round(BATCH * BATCHES / sum(took_s)),
        "update_batch_ms": round(1_000 * statistics.median(took_s), 1),
        "update_batch_ms_max": round(1_000 * max(took_s), 1),
        "updated_people": BATCH * BATCHES,
    }


def _readings(random: np.random.Generator, people: int) -> Iterable[Reading]:
    for person_id in random.integers(0, people, BATCH).tolist():
        attributes: dict[str, str | float | bool] = {
            name: values[int(random.integers(len(values)))] for name, values in TEXTS.items()
        }
        attributes |= {"age": float(random.integers(18, 90)), "spend": random.random() * 300, "member": True}
        interests = [("skincare", random.random(), 0.0), ("shoes", random.random(), 0.0)]
        facts = PersonFacts(person_id, attributes, interests, segments=frozenset({"lapsed"}))
        yield Reading(person_id, facts, NOW_US)


def _median_ms(work: Callable[[], Found], repeats: int) -> tuple[Found, float]:
    """What it gives, and the median of some runs after one that does not count."""
    found = work()
    times = [_timed(work)[1] for _ in range(repeats)]
    return found, round(1_000 * statistics.median(times), 1)


def _cpu_ms(work: Callable[[], Found], repeats: int) -> float:
    """The median of the time that this process was at work, which what else the machine does changes less."""
    times = []
    for _ in range(repeats):
        started_s = time.process_time()
        work()
        times.append(time.process_time() - started_s)
    return round(1_000 * statistics.median(times), 1)


def _timed(work: Callable[[], Found]) -> tuple[Found, float]:
    started_s = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started_s


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10**8)
    arguments = parser.parse_args()
    started_s = time.monotonic()
    found = run(arguments.people)
    extra = {"machine": machine(), "commit": commit(), "duration_s": round(time.monotonic() - started_s, 1)}
    write(Path(".bihuan/bench/tag-index.json"), {"data": "synthetic, seeded", **found, **extra})


if __name__ == "__main__":
    main()
