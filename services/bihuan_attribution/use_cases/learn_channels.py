"""Weights of channels: learned when they are asked for, at most hourly, and kept."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from bihuan_attribution.domain.channel_learning import REFRESH_US, TRAILING_US, Learned, PathBag, learn
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.event import HOUR_US
from bihuan_attribution.use_cases.order_paths import Mark, OrderPaths
from bihuan_shared.clock import Clock
from bihuan_shared.errors import BihuanError, DeadlineExceeded, ResourceExhausted
from bihuan_shared.rpc.deadline import remaining_s

MAX_TOUCHES: Final = 200_000
"""Busy advertisers are learned from a shorter time: from their latest touches, and their latest orders."""
MAX_ORDERS: Final = 50_000
MAX_WAITING: Final = 32


class ChannelWeights(Protocol):
    """What is known of an advertiser's channels."""

    async def of(self, advertiser_id: str) -> Learned:
        """What was learned last; an hour old at most, or while something newer is being learned."""
        ...


class ChannelLearner:
    """
    Learns one advertiser at a time.

    What is older than an hour is answered while newer weights are learned behind it; only who asks for an advertiser
    for the first time waits.
    """

    def __init__(self, paths: OrderPaths, clock: Clock) -> None:
        self._paths = paths
        self._clock = clock
        self._turn = asyncio.Semaphore(1)
        self._running: dict[str, asyncio.Task[Learned]] = {}

    async def of(self, advertiser_id: str) -> Learned:
        """
        What was learned last.

        Raises DeadlineExceeded where the caller's time ends first, and what was begun goes on; and ResourceExhausted
        where too many advertisers wait to be learned.
        """
        now_us = self._clock.now_us()
        held = await self._paths.learned(advertiser_id, now_us)
        if held is not None and now_us - held.learned_time_us < REFRESH_US:
            return held
        task = self._running.get(advertiser_id)
        if task is None and len(self._running) < MAX_WAITING:
            task = self._running[advertiser_id] = asyncio.create_task(self._learn(advertiser_id, now_us))
            task.add_done_callback(partial(self._forget, advertiser_id))
        if held is not None:
            return held
        if task is None:
            raise ResourceExhausted("too many advertisers wait to be learned")
        try:
            return await asyncio.wait_for(asyncio.shield(task), remaining_s())
        except TimeoutError:
            raise DeadlineExceeded("the channels of this advertiser are being learned; ask again") from None

    async def close(self) -> None:
        """End what runs."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, advertiser_id: str, task: "asyncio.Task[Learned]") -> None:
        self._running.pop(advertiser_id, None)
        # Who waits gets it; where nobody does, the next one tries again.
        if not task.cancelled() and not isinstance(error := task.exception(), BihuanError | None):
            raise error

    async def _learn(self, advertiser_id: str, now_us: int) -> Learned:
        async with self._turn:
            start_us = now_us - TRAILING_US
            touches, start_us = await self._touches(advertiser_id, start_us)
            bag, buyers, first_us = await self._orders(advertiser_id, start_us, now_us)
            recent = [one for one in touches if one[1].touch_time_us >= first_us]

            def work() -> Learned:
                bag.add_people(recent, buyers)
                return learn(bag, advertiser_id, start_us=first_us, now_us=now_us)

            learned = await asyncio.to_thread(work)
            if learned.path_count:
                await self._paths.keep(learned)
            return learned

    async def _touches(self, advertiser_id: str, start_us: int) -> tuple[Sequence[tuple[int, PathTouch]], int]:
        """The latest touches, and the instant from which on they are complete."""
        found: list[tuple[int, PathTouch]] = []
        mark: tuple[int, int] | None = None
        while True:
            page = await self._paths.touches(advertiser_id, start_us, mark)
            found += page.touches
            mark = page.mark
            if mark is None:
                return found, start_us
            if len(found) >= MAX_TOUCHES:
                return found, mark[0] + 1

    async def _orders(self, advertiser_id: str, start_us: int, now_us: int) -> tuple[PathBag, set[int], int]:
        """The paths of the latest orders, who bought, and the instant from which on they are complete."""
        bag, buyers, count = PathBag(), set[int](), 0
        mark: Mark | None = None
        while True:
            # A shop's clock may run ahead of ours.
            page = await self._paths.page(advertiser_id, start_us, now_us + HOUR_US, mark)
            for path in page.paths:
                bag.add_order(path)
                if path.order.person_id:
                    buyers.add(path.order.person_id)
            count += len(page.paths)
            mark = page.mark
            if mark is None:
                return bag, buyers, start_us
            if count >= MAX_ORDERS:
                return bag, buyers, mark[0]
