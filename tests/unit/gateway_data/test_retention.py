"""How long decisions are kept."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bihuan_gateway.data import retention
from bihuan_gateway.data.retention import Retention
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import Unavailable


@dataclass
class Kept:
    times_us: list[int]
    cuts: list[tuple[int, int]] = field(default_factory=list)
    failures: int = 0

    async def prune(self, before_us: int, limit: int) -> int:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.cuts.append((before_us, limit))
        gone = [time_us for time_us in self.times_us if time_us < before_us][:limit]
        self.times_us = self.times_us[len(gone) :]
        return len(gone)


async def rounds(kept: Kept, number: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(retention, "BATCH", 2)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == number:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Retention(kept, FixedClock(100), 90, sleep).run()
    return pauses


async def test_old_decisions_go_in_small_batches_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept([1, 2, 3, 10, 11])
    assert await rounds(kept, 2, monkeypatch) == [retention.PAUSE_S, retention.IDLE_S]
    assert kept.times_us == [10, 11]
    assert set(kept.cuts) == {(10, 2)}


async def test_a_database_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept([1], failures=1)
    assert await rounds(kept, 2, monkeypatch) == [retention.IDLE_S, retention.IDLE_S]
    assert kept.times_us == []
