"""Consumers: woken by commits, tried again after a lost store, ended by a surprise; the lake's files."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from bihuan_attribution.domain.event import EventType, LoggedEvent
from bihuan_attribution.use_cases import consume
from bihuan_attribution.use_cases.consume import Bell, Pace, follow
from bihuan_attribution.use_cases.pass_on import LAKE, PLANNED, LakeFeed
from bihuan_shared.errors import Unavailable


class Log:
    """An event log in memory, as far as consumers need it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.positions: dict[str, int] = {}

    async def append(self, events: object) -> list[object]:
        raise NotImplementedError

    async def count_rejections(self, counts: dict[tuple[str, str], int]) -> None:
        raise NotImplementedError

    async def read(self, after: int, limit: int) -> list[LoggedEvent]:
        positions = range(after + 1, min(self.size, after + limit) + 1)
        return [LoggedEvent(one, EventType.CLICK, f"e{one}", 0, 0, 0, None, None) for one in positions]

    async def head(self) -> int:
        return self.size

    async def position(self, consumer: str) -> int:
        return self.positions.get(consumer, 0)

    async def advance(self, consumer: str, position: int) -> None:
        self.positions[consumer] = position


class Sink:
    """Keeps the ranges that it was given; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.ranges: list[tuple[int, int]] = []

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        self.ranges.append((events[0].position, events[-1].position))
        if self.failures:
            self.failures -= 1
            raise Unavailable("full")


async def test_a_lake_file_that_failed_is_written_again_under_the_same_range() -> None:
    log, sink = Log(5), Sink(failures=1)
    feed = LakeFeed(log, sink, batch=3)  # type: ignore[arg-type]  # of the log it only reads
    with pytest.raises(Unavailable):
        await feed.step()
    log.size = 9
    assert [await feed.step() for _ in range(4)] == [3, 3, 3, 0]
    assert sink.ranges == [(1, 3), (1, 3), (4, 6), (7, 9)]
    assert log.positions == {LAKE: 9, PLANNED: 9}


async def test_a_consumer_is_woken_and_survives_a_lost_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consume, "RETRY_S", 0.0)
    bell, finished = Bell(), asyncio.Event()
    answers: Iterator[Unavailable | int] = iter([Unavailable("lost"), 2, 0, 1, 0])
    done: list[str] = []

    async def step() -> int:
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        if answer == 0:
            asyncio.get_running_loop().call_soon(bell.ring if len(done) == 1 else finished.set)
        return answer

    task = asyncio.create_task(follow(step, bell.listener(), done=[lambda: done.append("done")]))
    await asyncio.wait_for(finished.wait(), 5)
    assert done == ["done", "done"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_surprise_ends_the_consumer() -> None:
    async def step() -> int:
        raise KeyError("never")

    with pytest.raises(KeyError):
        await follow(step, asyncio.Event())


async def test_a_consumer_that_is_behind_goes_on_at_once_and_otherwise_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    steps = iter([10, 12, 9, 0])
    bell = Bell()
    wake = bell.listener()

    async def step() -> int:
        bell.ring()
        return next(steps)

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)
        if len(pauses) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await follow(step, wake, Pace(full=10, pause_s=0.25))
    assert pauses == [0.25, 0.25]
    assert list(steps) == []
