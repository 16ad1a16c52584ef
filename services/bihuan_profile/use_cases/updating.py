"""Changing many persons under concurrency: read, decide, compare and set, and again for those who moved on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, ProfileStore
from bihuan_shared.errors import ResourceExhausted

MAX_ATTEMPTS: Final = 64
"""Every round some writer of a contended person succeeds, so this many writers can collide on one at a time."""


async def update(
    store: ProfileStore,
    backoff: Backoff,
    asks: Sequence[Ask],
    decide: Callable[[Ask, Answer], Change | None],
    before: Callable[[Sequence[Change]], Awaitable[None]] | None = None,
) -> None:
    """
    Bring every person asked for to what `decide` wants; None leaves the person as is. `before` is called with what is
    about to be written.

    `decide` must be pure but for outcomes it notes down: it is called again for a person whom someone else changed.
    Raises ResourceExhausted (OVERLOADED) when a person is contended beyond the bound; what was written stays written,
    and repeating the call is safe because the events in it are marked.
    """
    pending = list(asks)
    for attempt in range(MAX_ATTEMPTS):
        answers = await store.ask(pending)
        changes: list[Change] = []
        changing: list[Ask] = []
        for ask, answer in zip(pending, answers, strict=True):
            change = decide(ask, answer)
            if change is not None:
                changes.append(change)
                changing.append(ask)
        if not changes:
            return
        if before is not None:
            await before(changes)
        written = await store.compare_and_set(changes)
        pending = [ask for ask, done in zip(changing, written, strict=True) if not done]
        if not pending:
            return
        await backoff.pause(attempt)
    raise ResourceExhausted("a profile is written by too many at once; repeat the call")
