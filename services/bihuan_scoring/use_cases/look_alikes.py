"""
Look-alike audiences: creating them, and building them in the background, one at a time.

A build takes a snapshot of every profile that may be used for targeting, private tags of the advertiser included, and
works on that. What an interruption leaves is taken up after the next start; an old snapshot is taken anew. Nothing of
it outlives the build.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from bihuan_scoring.domain.audiences import Audience, LookAlikeOf, NewAudience, definition_sha256, estimated_progress
from bihuan_scoring.domain.versions import require_interval
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.ports import LookAlikes, LookAlikeTask, Profiles
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.targeting import References, parse, references

_log = structlog.get_logger("bihuan.scoring")

OLDEST_SNAPSHOT_US: Final = DAY_US
"""A snapshot that an interrupted build left is used up to this age."""

_ATTEMPTS: Final = 8
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_OF_SCAN: Final = 0.3
"""Share of the progress that the snapshot stands for."""


async def create_look_alike(audiences: Audiences, new: NewAudience, of: LookAlikeOf) -> Audience:
    """
    An audience of persons like those of a seed, built in the background.

    Raises InvalidArgument where neither or both of size and precision are asked for, FailedPrecondition where the seed
    is not ready, AlreadyExists where the id has another definition.
    """
    if (of.target_size > 0) == (of.least_precision > 0):
        field = "definition.look_alike.target_size"
        raise InvalidArgument.of(field, "either a target size or a least precision is needed")
    require_interval(new.refresh_interval_s, scheduled=False)
    digest = definition_sha256(new.advertiser_id, "look_alike", repr(of).encode())
    existing = await audiences.same(new.audience_id, digest)
    if existing is not None:
        return existing
    return await audiences.await_building(
        replace(new.building("", digest), look_alike=of), frozenset({of.seed_audience_id})
    )


class LookAlikeBuilder:
    """Builds whatever look-alike waits, as long as it runs."""

    def __init__(
        self,
        audiences: Audiences,
        profiles: Profiles,
        look_alikes: LookAlikes,
        now_us: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._audiences = audiences
        self._profiles = profiles
        self._look_alikes = look_alikes
        self._now_us = now_us
        self._sleep = sleep
        self._expected_persons = 0

    async def run(self) -> None:
        """Build, wait, build again; never returns."""
        while True:
            await self._audiences.look_alikes_waiting.wait()
            self._audiences.look_alikes_waiting.clear()
            await self.build_waiting()

    async def build_waiting(self) -> None:
        """Build every look-alike that waits, oldest first; one that cannot be built is FAILED and says why."""
        while waiting := [each for each in await self._audiences.to_build() if each.look_alike is not None]:
            await self._tidy(waiting)
            audience = min(waiting, key=lambda each: (each.create_time_us, each.audience_id))
            await self._build_with_patience(audience)
        await self._tidy(())

    async def _build_with_patience(self, audience: Audience) -> None:
        failure = ""
        for attempt in range(_ATTEMPTS):
            try:
                await self._build(audience)
            except (FailedPrecondition, NotFound) as error:
                failure = error.detail
                break
            except BihuanError as error:
                failure = error.detail
                _log.warning("a look-alike could not be built", attempt=attempt + 1, reason=error.reason)
                await self._sleep(min(_FIRST_DELAY_S * 2**attempt, _LONGEST_DELAY_S))
            else:
                return
        await self._audiences.give_up(audience, failure)

    async def _build(self, audience: Audience) -> None:
        of, name = audience.look_alike, _folder_of(audience)
        assert of is not None, "a look-alike says whom it resembles"
        self._audiences.progress[audience.audience_id] = 0.0
        task = LookAlikeTask(self._seeds(of), of, await self._definition(of.seed_audience_id))
        oldest_us = self._now_us() - OLDEST_SNAPSHOT_US
        if not await asyncio.to_thread(self._look_alikes.has_snapshot, name, oldest_us):
            await self._take_snapshot(audience, name)
        watch = _Watch(audience.audience_id, self._audiences, asyncio.get_running_loop())
        try:
            found = await asyncio.to_thread(self._look_alikes.expand, name, task, watch)
        finally:
            # The thread cannot be cancelled; it ends at the next piece of its work.
            watch.stop()
        if found is None:
            return
        person_ids, evidence = found
        members = await asyncio.to_thread(self._audiences.build_set, person_ids)
        async with self._audiences.changing:
            await self._audiences.publish(audience, members, evidence)

    async def _take_snapshot(self, audience: Audience, name: str) -> None:
        await asyncio.to_thread(self._look_alikes.begin_snapshot, name, self._now_us())
        scanned = 0
        async for persons in self._profiles.scan((audience.advertiser_id,)):
            await asyncio.to_thread(self._look_alikes.add, name, persons)
            scanned += len(persons)
            done = _OF_SCAN * estimated_progress(scanned, self._expected_persons)
            _note(self._audiences, audience.audience_id, done)
        self._expected_persons = scanned
        await asyncio.to_thread(self._look_alikes.finish_snapshot, name)

    def _seeds(self, of: LookAlikeOf) -> Sequence[int]:
        members = self._audiences.members(of.seed_audience_id)
        if members is None:
            raise FailedPrecondition(f"the seed {of.seed_audience_id} is not ready")
        return list(members)

    async def _definition(self, seed_audience_id: str) -> Sequence[References]:
        """What the expressions of the seed ask about, and of the audiences that they name."""
        found: list[References] = []
        known, waiting = set[str](), [seed_audience_id]
        while waiting:
            audience_id = waiting.pop()
            if audience_id in known:
                continue
            known.add(audience_id)
            try:
                audience = await self._audiences.get(audience_id)
            except NotFound:
                # An audience that an expression names may be gone since; the seed itself is there.
                continue
            if audience.expression:
                found.append(references(parse(audience.expression)))
                waiting.extend(found[-1].audiences)
        return found

    async def _tidy(self, waiting: Sequence[Audience]) -> None:
        kept = frozenset(_folder_of(audience) for audience in waiting)
        await asyncio.to_thread(self._look_alikes.keep_only, kept)


class _Watch:
    """Passes progress on, and stops the work where the audience is gone or nobody waits any more."""

    def __init__(self, audience_id: str, audiences: Audiences, loop: asyncio.AbstractEventLoop) -> None:
        self._audience_id = audience_id
        self._audiences = audiences
        self._loop = loop
        self._stopped = False

    def progress(self, share: float) -> None:
        """From the thread that works."""
        if not self._stopped:
            done = _OF_SCAN + (0.99 - _OF_SCAN) * share
            self._loop.call_soon_threadsafe(_note, self._audiences, self._audience_id, done)

    def stopped(self) -> bool:
        """From the thread that works."""
        return self._stopped or self._audience_id not in self._audiences.progress

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped = True


def _note(audiences: Audiences, audience_id: str, progress: float) -> None:
    # Whoever was deleted is not there any more, and must not come back.
    if audience_id in audiences.progress:
        audiences.progress[audience_id] = progress


def _folder_of(audience: Audience) -> str:
    return f"{audience.audience_id}.{audience.definition_sha256[:16]}"
