"""Coalescers: what waits shares the next call; a fault, a time-out or a time of its own hurts nobody else."""

import asyncio
from collections.abc import Sequence

import pytest

from bihuan_gateway.data.hops.coalescer import Coalescer
from bihuan_shared.clock import replay_time_us, reset_replay_time, set_replay_time_us
from bihuan_shared.errors import DeadlineExceeded, InvalidArgument, Unavailable
from bihuan_shared.rpc.deadline import deadline_scope, remaining_s


async def test_what_waits_shares_one_call() -> None:
    calls: list[list[int]] = []

    async def double(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        await asyncio.sleep(0)
        return [2 * item for item in items]

    hop = Coalescer[int, int](double, timeout_s=5)
    assert await asyncio.gather(*(hop.ask_one(number) for number in range(50))) == [2 * n for n in range(50)]
    assert len(calls) == 1


async def test_only_the_item_at_fault_is_refused() -> None:
    async def picky(items: Sequence[int]) -> list[int]:
        if 5 in items:
            raise InvalidArgument("no five")
        return list(items)

    hop = Coalescer[int, int](picky, timeout_s=5)
    answers = await asyncio.gather(*(hop.ask_one(number) for number in range(10)), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, InvalidArgument)] == [5]
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 1, 2, 3, 4, 6, 7, 8, 9]


async def test_a_failure_of_the_hop_reaches_everyone_who_waited() -> None:
    async def down(items: Sequence[int]) -> list[int]:
        raise Unavailable("down")

    hop = Coalescer[int, int](down, timeout_s=5)
    answers = await asyncio.gather(*(hop.ask_one(number) for number in range(3)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)


async def test_a_hop_that_hangs_is_waited_for_no_longer_than_the_request_lasts() -> None:
    async def hang(items: Sequence[int]) -> list[int]:
        await asyncio.Event().wait()
        return list(items)

    hop = Coalescer[int, int](hang, timeout_s=60)
    with deadline_scope(0.02), pytest.raises(DeadlineExceeded):
        await hop.ask_one(1)
    with deadline_scope(0), pytest.raises(DeadlineExceeded):
        await hop.ask_one(1)


async def test_a_call_gets_the_time_of_the_hop() -> None:
    async def left(items: Sequence[int]) -> list[float]:
        return [remaining_s() or 0.0 for _ in items]

    assert 0 < await Coalescer[int, float](left, timeout_s=0.5).ask_one(1) <= 0.5


@pytest.mark.parametrize(("timeless", "times"), [(True, [30, 30, 30]), (False, [10, 20, 30])])
async def test_items_of_different_times_share_a_call_only_where_they_need_none(
    *, timeless: bool, times: list[int]
) -> None:
    async def now(items: Sequence[int]) -> list[int | None]:
        return [replay_time_us() for _ in items]

    hop = Coalescer[int, int | None](now, timeout_s=5, timeless=timeless)

    async def at(time_us: int) -> int | None:
        token = set_replay_time_us(time_us)
        try:
            return await hop.ask_one(time_us)
        finally:
            reset_replay_time(token)

    assert list(await asyncio.gather(at(10), at(20), at(30))) == times
