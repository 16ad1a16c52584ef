"""Erasing persons: at once where they are read, and from then on where they were kept."""

from collections.abc import Sequence

from bihuan_profile.domain.told import Erasure
from bihuan_profile.use_cases.knowing import living
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, Held, Journal, ProfileStore
from bihuan_profile.use_cases.updating import MAX_ATTEMPTS, update
from bihuan_shared.errors import ResourceExhausted


async def delete_profile(store: ProfileStore, backoff: Backoff, journal: Journal, person_id: int, now_us: int) -> bool:
    """
    Erase a person, whether or not anything is known yet, under the id that it lives on; True where something was.

    What stays are notes that the person was erased, under each id that it had, which keep late events out. The wish is
    kept before anything is done, so that whatever is broken off is finished later; what is kept of the person's events
    and facts is removed in the background. Raises Unavailable and ResourceExhausted.
    """
    for attempt in range(MAX_ATTEMPTS):
        living_id, held = await living(store, person_id)
        if held.erased:
            return False
        await keep_erasure(journal, living_id, held, now_us)
        if (await store.compare_and_set([Change(living_id, held.revision, None)]))[0]:
            await bury(store, backoff, held.record.former_ids)
            return held.revision != 0
        await backoff.pause(attempt)
    raise ResourceExhausted("a profile is written by too many at once; repeat the call")


async def keep_erasure(journal: Journal, person_id: int, held: Held, now_us: int) -> None:
    """Keep that a person is erased, under its id and those that it had before."""
    kept = frozenset(held.record.moved_sightings)
    await journal.open_erasures([Erasure(one, now_us, kept) for one in (person_id, *held.record.former_ids)])


async def bury(store: ProfileStore, backoff: Backoff, person_ids: Sequence[int]) -> list[int]:
    """Leave nothing of some ids but the note that they were erased; those of which there was something else."""
    found: set[int] = set()

    def decide(ask: Ask, answer: Answer) -> Change | None:
        if answer.held.erased:
            return None
        if answer.held.revision and not answer.held.moved_to:
            found.add(ask.person_id)
        return Change(ask.person_id, answer.held.revision, None)

    await update(store, backoff, [Ask(one) for one in dict.fromkeys(person_ids)], decide)
    return sorted(found)
