"""Merges the requests of concurrent callers into one call in flight a hop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from opentelemetry import context as trace_context

from bihuan_shared.clock import replay_time_us, set_replay_time_us
from bihuan_shared.errors import BihuanError, DeadlineExceeded, InvalidArgument
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.rpc.deadline import deadline_scope, remaining_s, set_deadline_in

I = TypeVar("I")  # noqa: E741 - input and output
O = TypeVar("O")  # noqa: E741

MAX_QUEUE = 20_000
LEAST_S = 0.001


class Coalescer(Generic[I, O]):
    """
    One hop: `ask_one` waits for the answer to one item, `call` answers many.

    `call` gets at most `max_items` items and returns one output an item. Where it refuses a batch (InvalidArgument),
    the batch is split, so that only the item at fault fails. Neither a call nor a wait lasts longer than `timeout_s`,
    nor than what is left of the request.

    In a replay, items of different times do not share a call, unless `timeless` says that every item carries its own
    time (or needs none): then a call has the latest time of its items.
    """

    def __init__(
        self,
        call: Callable[[Sequence[I]], Awaitable[Sequence[O]]],
        *,
        timeout_s: float,
        max_items: int = 1_000,
        timeless: bool = False,
    ) -> None:
        self._call = call
        self._timeout_s = timeout_s
        self._timeless = timeless
        self._group = GroupCommit[tuple[I, int | None], O | BihuanError](
            self._commit, max_items=max_items, max_queue=max(MAX_QUEUE, max_items)
        )

    async def ask_one(self, item: I) -> O:
        """Return the output of one item; DeadlineExceeded, or what the hop raised."""
        left_s = remaining_s()
        timeout_s = self._timeout_s if left_s is None else min(self._timeout_s, left_s)
        if timeout_s < LEAST_S:
            raise DeadlineExceeded("no time is left for the next hop")
        try:
            async with asyncio.timeout(timeout_s):
                output = await self._submit(item, timeout_s)
        except TimeoutError:
            raise DeadlineExceeded("the hop took too long") from None
        if isinstance(output, BihuanError):
            raise output
        return output

    async def close(self) -> None:
        """Wait for the calls in flight; later items are refused."""
        await self._group.close()

    async def _submit(self, item: I, timeout_s: float) -> O | BihuanError:
        time_us = replay_time_us() if self._timeless else None
        if time_us is None:
            return await self._group.submit_one((item, None))
        # A context without the replay time, by which the group would keep items apart.
        context = Context()
        context.run(trace_context.attach, trace_context.get_current())
        context.run(set_deadline_in, timeout_s)
        submission = self._group.submit_one((item, time_us))
        return await asyncio.get_running_loop().create_task(submission, context=context)

    async def _commit(self, timed: Sequence[tuple[I, int | None]]) -> Sequence[O | BihuanError]:
        times_us = [time_us for _, time_us in timed if time_us is not None]
        if times_us:
            set_replay_time_us(max(times_us))
        with deadline_scope(self._timeout_s):
            return await self._answers([item for item, _ in timed])

    async def _answers(self, items: Sequence[I]) -> list[O | BihuanError]:
        try:
            return list(await self._call(items))
        except InvalidArgument as error:
            if len(items) == 1:
                return [error]
            middle = len(items) // 2
            return [*await self._answers(items[:middle]), *await self._answers(items[middle:])]
