"""
Group commit: one commit at a time, and whatever queued meanwhile goes into the next one.

There is no timer: an idle group commits at once, a busy one grows its batches by itself. The same thing in front of an
RPC is the client-side coalescer (one call in flight).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

from bihuan_shared.clock import replay_time_us
from bihuan_shared.errors import ResourceExhausted, Unavailable
from bihuan_shared.rpc.deadline import DEFAULT_TIMEOUT_S, remaining_s, set_deadline_in

I = TypeVar("I")  # noqa: E741  # input and output, as in the class's own name for them
O = TypeVar("O")  # noqa: E741


@dataclass(slots=True, eq=False)
class _Submission(Generic[I, O]):
    """The items of one caller; they are committed together or not at all."""

    items: Sequence[I]
    done: asyncio.Future[Sequence[O]]
    context: Context
    replay_time_us: int | None


class GroupCommit(Generic[I, O]):
    """
    Batches concurrent submissions into calls of `commit`, one call at a time, in the order of submission.

    `commit` gets at most `max_items` items and returns one output an item, in the same order. What it raises goes to
    every submitter of that batch and to no other. The items of one submission always stay together. At most
    `max_queue` items wait; what comes on top is refused.

    A batch runs in the context of its first submitter (its trace and its replay time) with the latest deadline of them
    all; only submissions of the same replay time share one.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[I]], Awaitable[Sequence[O]]],
        *,
        max_items: int = 1_000,
        max_queue: int = 10_000,
    ) -> None:
        if max_items < 1 or max_queue < max_items:
            raise ValueError("max_items must be positive and max_queue no smaller")
        self._commit = commit
        self._max_items = max_items
        self._max_queue = max_queue
        self._queue: deque[_Submission[I, O]] = deque()
        self._queued_items = 0
        self._running = False
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def queued_items(self) -> int:
        """How many items wait for a commit; those in flight are not counted."""
        return self._queued_items

    async def submit(self, items: Sequence[I]) -> Sequence[O]:
        """
        One output an item, in order, once the items are committed.

        Raises what `commit` raised, ResourceExhausted (OVERLOADED) where the queue is full, Unavailable after
        `close`, and ValueError for more than `max_items`. A submitter that is cancelled while it waits takes its items
        back; once their commit has begun it runs on without it.
        """
        if len(items) > self._max_items:
            raise ValueError(f"at most {self._max_items} items in one submission")
        if self._closed:
            raise Unavailable("shutting down")
        if not items:
            return ()
        if self._queued_items + len(items) > self._max_queue:
            raise ResourceExhausted("too many requests are waiting")
        loop = asyncio.get_running_loop()
        submission = _Submission[I, O](items, loop.create_future(), copy_context(), replay_time_us())
        self._queue.append(submission)
        self._queued_items += len(items)
        if not self._running:
            self._running = True
            self._idle.clear()
            # Not at once: whatever else is submitted in this turn of the loop shares the batch.
            loop.call_soon(self._start_next)
        try:
            return await submission.done
        finally:
            self._withdraw(submission)

    async def submit_one(self, item: I) -> O:
        """The output of a single item."""
        return (await self.submit((item,)))[0]

    async def close(self) -> None:
        """Refuse new submissions and wait until all that were accepted are committed or have failed."""
        self._closed = True
        await self._idle.wait()

    def _withdraw(self, submission: _Submission[I, O]) -> None:
        """Take a cancelled submission out of the queue; nothing where its batch has begun."""
        if submission.done.cancelled() and submission in self._queue:
            self._queue.remove(submission)
            self._queued_items -= len(submission.items)

    def _start_next(self) -> None:
        batch = self._take_batch()
        if not batch:
            self._running = False
            self._task = None
            self._idle.set()
            return
        context = _merge_contexts([submission.context for submission in batch])
        self._task = asyncio.get_running_loop().create_task(self._run(batch), context=context)

    def _take_batch(self) -> list[_Submission[I, O]]:
        """The longest run from the head of the queue that fits one commit and shares one replay time."""
        batch: list[_Submission[I, O]] = []
        size = 0
        while self._queue:
            head = self._queue[0]
            same_time = not batch or head.replay_time_us == batch[0].replay_time_us
            if size + len(head.items) > self._max_items or not same_time:
                break
            batch.append(self._queue.popleft())
            size += len(head.items)
        self._queued_items -= size
        return batch

    async def _run(self, batch: list[_Submission[I, O]]) -> None:
        try:
            items = [item for submission in batch for item in submission.items]
            outputs = await self._commit(items)
            if len(outputs) != len(items):
                raise RuntimeError("a commit must return one output an item")  # noqa: TRY301  # treated as its failure
        except asyncio.CancelledError:
            _fail(batch, Unavailable("the commit was cancelled"))
            self._give_up_when_cancelled()
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to this batch's submitters
            _fail(batch, error)
        else:
            _resolve(batch, outputs)
        finally:
            self._start_next()

    def _give_up_when_cancelled(self) -> None:
        """Where the event loop itself is ending, nothing that waits will ever be committed."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            self._closed = True
            _fail(self._queue, Unavailable("shutting down"))
            self._queue.clear()
            self._queued_items = 0


def _merge_contexts(contexts: Sequence[Context]) -> Context:
    """The first one, with the latest deadline: nobody's call is cut short by the haste of another."""
    merged = contexts[0]
    if len(contexts) > 1:
        left_s = [context.run(remaining_s) for context in contexts]
        known_s = [left for left in left_s if left is not None]
        if known_s:
            merged.run(set_deadline_in, max(known_s) if len(known_s) == len(left_s) else DEFAULT_TIMEOUT_S)
    return merged


def _resolve(batch: Sequence[_Submission[I, O]], outputs: Sequence[O]) -> None:
    start = 0
    for submission in batch:
        end = start + len(submission.items)
        if not submission.done.done():
            submission.done.set_result(outputs[start:end])
        start = end


def _fail(batch: Iterable[_Submission[I, O]], error: Exception) -> None:
    for submission in batch:
        if not submission.done.done():
            submission.done.set_exception(error)
