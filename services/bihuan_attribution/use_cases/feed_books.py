"""What the books rest on beside events goes to the lake: terms, journal, persons, refusals, limits."""

from collections.abc import Sequence
from typing import Protocol


class BookRows(Protocol):
    """Datasets whose rows are numbered and only added to; each is its own consumer, `lake:<dataset>`."""

    async def behind(self) -> Sequence[str]:
        """Datasets that hold more than was written."""
        ...

    async def plan(self, dataset: str) -> tuple[int, int]:
        """The numbers `(after, upto]` to write next, committed: the same ones again until they are done."""
        ...

    async def write(self, dataset: str, after: int, upto: int) -> None:
        """Write the rows of these numbers into one file that is named by them; Unavailable."""
        ...

    async def done(self, dataset: str, upto: int) -> None:
        """Note that everything up to a number was written."""
        ...


class BookFeed:
    """
    Exactly once, because the range of a file is committed before the file is written.

    After a crash, or where two processes do it at once, the same rows are written under the same name.
    """

    def __init__(self, rows: BookRows) -> None:
        self._rows = rows

    async def step(self) -> int:
        """Write one range of every dataset that is behind; the answer is how many numbers that were."""
        count = 0
        for dataset in await self._rows.behind():
            after, upto = await self._rows.plan(dataset)
            if after < upto:
                await self._rows.write(dataset, after, upto)
                await self._rows.done(dataset, upto)
            count += upto - after
        return count
