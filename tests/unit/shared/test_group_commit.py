"""Group commit: batches that form by themselves, bounded, and fair to every submitter."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.clock import replay_time_us, set_replay_time_us
from bihuan_shared.errors import ResourceExhausted, Unavailable
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.rpc.deadline import deadline_scope, remaining_s


class Commits:
    """Records every batch; each waits until it is let go, and fails where an item is negative."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.running = 0

    async def __call__(self, items: Sequence[int]) -> Sequence[str]:
        assert self.running == 0
        self.running += 1
        self.batches.append(list(items))
        await self.gate.wait()
        self.running -= 1
        if any(item < 0 for item in items):
            raise ConnectionError
        return [str(item) for item in items]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_queues_during_a_commit_goes_into_the_next_one() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    first = asyncio.create_task(group.submit([1]))
    await turns()
    others = [asyncio.create_task(group.submit_one(item)) for item in (2, 3, 4)]
    await turns()
    assert commits.batches == [[1]]
    assert group.queued_items == 3
    commits.gate.set()
    assert await first == ["1"]
    assert await asyncio.gather(*others) == ["2", "3", "4"]
    assert commits.batches == [[1], [2, 3, 4]]


async def test_simultaneous_submissions_share_the_first_commit() -> None:
    commits = Commits()
    commits.gate.set()
    group = GroupCommit(commits)
    assert list(await asyncio.gather(group.submit([1, 2]), group.submit([3]))) == [["1", "2"], ["3"]]
    assert commits.batches == [[1, 2, 3]]


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=30),
    st.integers(5, 12),
    st.lists(st.integers(0, 3), max_size=30),
)
def test_order_is_kept_and_outputs_reach_their_submitters(
    submissions: list[list[int]], max_items: int, pauses: list[int]
) -> None:
    asyncio.run(_submit_all(submissions, max_items, pauses))


async def _submit_all(submissions: list[list[int]], max_items: int, pauses: list[int]) -> None:
    batches: list[list[int]] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        await turns(3)
        return [item * 10 for item in items]

    group = GroupCommit(commit, max_items=max_items)
    tasks = []
    for index, items in enumerate(submissions):
        tasks.append(asyncio.create_task(group.submit(items)))
        await turns(pauses[index] if index < len(pauses) else 0)
    outputs = await asyncio.gather(*tasks)
    assert [list(output) for output in outputs] == [[item * 10 for item in items] for items in submissions]
    assert [item for batch in batches for item in batch] == [item for items in submissions for item in items]
    assert all(0 < len(batch) <= max_items for batch in batches)
    assert group.queued_items == 0


async def test_failure_reaches_only_the_batch_that_failed() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=2)
    tasks = [asyncio.create_task(group.submit([item])) for item in (1, 2, -3, 4, 5)]
    await turns()
    commits.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert commits.batches == [[1, 2], [-3, 4], [5]]
    assert [type(result) for result in results] == [list, list, ConnectionError, ConnectionError, list]


async def test_submission_is_never_torn_between_two_commits() -> None:
    commits = Commits()
    commits.gate.set()
    group = GroupCommit(commits, max_items=4, max_queue=100)
    await asyncio.gather(group.submit([1, 1, 1]), group.submit([2, 2, 2]), group.submit([3]))
    assert commits.batches == [[1, 1, 1], [2, 2, 2, 3]]
    with pytest.raises(ValueError, match="at most 4"):
        await group.submit([0] * 5)


async def test_full_queue_refuses_and_accepts_again_later() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=2, max_queue=3)
    running = asyncio.create_task(group.submit([0]))
    await turns()
    waiting = [asyncio.create_task(group.submit([1])) for _ in range(3)]
    await turns()
    with pytest.raises(ResourceExhausted) as caught:
        await group.submit([2])
    assert caught.value.reason == "OVERLOADED"
    commits.gate.set()
    await asyncio.gather(running, *waiting)
    assert await group.submit([2]) == ["2"]


async def test_cancelled_waiter_takes_its_items_back_and_hurts_nobody() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    in_flight, other_in_flight = (asyncio.create_task(group.submit([item])) for item in (1, 2))
    await turns()
    waiting, other_waiting = (asyncio.create_task(group.submit([item])) for item in (3, 4))
    await turns()
    in_flight.cancel()
    waiting.cancel()
    await turns()
    assert group.queued_items == 1
    commits.gate.set()
    assert list(await asyncio.gather(other_in_flight, other_waiting)) == [["2"], ["4"]]
    assert commits.batches == [[1, 2], [4]]
    assert in_flight.cancelled()
    assert waiting.cancelled()


async def test_close_drains_what_was_accepted_and_refuses_the_rest() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    running = asyncio.create_task(group.submit([1]))
    await turns()
    waiting = asyncio.create_task(group.submit([2]))
    await turns()
    closing = asyncio.create_task(group.close())
    await turns()
    assert not closing.done()
    with pytest.raises(Unavailable):
        await group.submit([3])
    commits.gate.set()
    await closing
    assert (running.done(), waiting.done()) == (True, True)
    assert commits.batches == [[1], [2]]
    await group.close()


async def test_commit_that_returns_too_little_is_a_failure() -> None:
    async def commit(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    with pytest.raises(RuntimeError, match="one output an item"):
        await GroupCommit(commit).submit([1, 2])


async def test_commit_that_is_cancelled_inside_fails_its_batch_only() -> None:
    """A call whose channel closes raises CancelledError; the submitters must not take that for their own."""
    calls = 0

    async def commit(items: Sequence[int]) -> Sequence[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError
        return items

    group = GroupCommit(commit)
    with pytest.raises(Unavailable):
        await group.submit([1])
    assert await group.submit([2]) == [2]


async def test_end_of_the_loop_fails_everybody() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    running = asyncio.create_task(group.submit([1]))
    await turns()
    waiting = asyncio.create_task(group.submit([2]))
    await turns()
    assert group._task is not None
    group._task.cancel()
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable, Unavailable]


async def test_empty_submission_commits_nothing() -> None:
    commits = Commits()
    assert not await GroupCommit(commits).submit([])
    assert commits.batches == []


async def test_only_one_replay_time_shares_a_commit() -> None:
    seen: list[tuple[int | None, list[int]]] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        seen.append((replay_time_us(), list(items)))
        return items

    group = GroupCommit(commit)

    async def submit_at(time_us: int, item: int) -> None:
        set_replay_time_us(time_us)
        await group.submit([item])

    await asyncio.gather(submit_at(10, 1), submit_at(10, 2), submit_at(20, 3), submit_at(10, 4))
    assert seen == [(10, [1, 2]), (20, [3]), (10, [4])]


async def test_latest_deadline_of_a_batch_holds_for_its_commit() -> None:
    left_s: list[float | None] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        left_s.append(remaining_s())
        return items

    group = GroupCommit(commit)

    async def submit_within(timeout_s: float | None) -> None:
        if timeout_s is None:
            await group.submit([1])
            return
        with deadline_scope(timeout_s):
            await group.submit([1])

    for timeouts_s in ((1.0, 100.0, 50.0), (1.0, None), (None,)):
        await asyncio.gather(*(submit_within(timeout_s) for timeout_s in timeouts_s))
    longest, unbounded, absent = left_s
    assert longest is not None
    assert 99 < longest <= 100
    assert unbounded is not None
    assert unbounded > 1
    assert absent is None


@pytest.mark.parametrize(("max_items", "max_queue"), [(0, 10), (5, 4)])
def test_bounds_must_make_sense(max_items: int, max_queue: int) -> None:
    commit: Callable[[Sequence[int]], Awaitable[Sequence[int]]] = _echo
    with pytest.raises(ValueError, match="max_items"):
        GroupCommit(commit, max_items=max_items, max_queue=max_queue)


async def _echo(items: Sequence[int]) -> Sequence[int]:
    return items
