"""Who does the work of a job: threads of this process, or (in `cluster`) a Dask cluster, with the same functions."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from bihuan_scoring.lookalike.boosting import TreeOrder, grow

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Applies functions to many items, and grows trees."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """
        The results, in order, as they are asked for; not many more items are begun than were asked for.

        Raises what the function raised. Closing the iterator ends the work.
        """
        ...

    def grow(self, order: TreeOrder, seed: int) -> str:
        """Trees as LightGBM's text."""
        ...


class ThreadWorkers:
    """Threads of this process: Arrow, NumPy and LightGBM run without the interpreter's lock."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """As the port says."""
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="look-alike") as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(function, item))
                    if len(waiting) > self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def grow(self, order: TreeOrder, seed: int) -> str:
        """As the port says, on one thread: the rows are bounded, and threads that wait for each other cost more."""
        return grow(order, seed, num_threads=1)
