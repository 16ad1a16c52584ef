"""Telling a person everything that is held about them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bihuan_profile.domain.holding import Holding, held_edge, held_event, held_in
from bihuan_profile.domain.holding_derived import derived_of
from bihuan_profile.domain.joining import once
from bihuan_profile.domain.lineage import Lineage
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.use_cases.knowing import living
from bihuan_profile.use_cases.ports import Held, History, Journal, ProfileStore
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_profile.use_cases.relating import EdgeJournal

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Sources:
    """Wherever something is held of persons, and what is known of it; `taxonomy_for` knows the tags of some names."""

    store: ProfileStore
    journal: Journal
    edges: EdgeJournal
    history: History
    taxonomy_for: Callable[[Iterable[str]], Awaitable[Taxonomy]]
    retention: PrivateRetention


async def export_profile(
    sources: Sources, population: Population | None, now_us: int, person_id: int
) -> AsyncIterator[Sequence[Holding]]:
    """
    What the record holds, what rules make of it at `now_us`, then every event and every relation that was kept, under
    whatever id and by time, in lists of at most 500.

    Nothing of somebody who is not known or was erased. Raises Unavailable.
    """
    person_id, held = await living(sources.store, person_id)
    if held.erased:
        return
    taxonomy = await sources.taxonomy_for(held.record.facts)
    retention = await sources.retention.of([held.record])
    for some in _batches(held_in(held.record, taxonomy, retention)):
        yield some
    for some in _batches(derived_of(held.record, now_us, taxonomy, population)):
        yield some
    mine = _Own(person_id, held, Lineage(await sources.history.changes()))
    found = await sources.journal.read(mine.ids, mine.lineage.sightings(person_id))
    events = once(one for one in found if mine.has(one.person_id, one.sighting_id))
    for some in _batches(held_event(one, retention) for one in events):
        yield some
    edges = await sources.edges.read(mine.ids)
    ends = ((one, mine.has(one.person_id, 0), mine.has(one.other_id, 0)) for one in edges)
    for some in _batches(held_edge(one, own=own) for one, own, other in ends if own or other):
        yield some


class _Own:
    """What of everything that was told is a person's."""

    def __init__(self, person_id: int, held: Held, lineage: Lineage) -> None:
        self.lineage = lineage
        self.ids = {person_id, *held.record.former_ids, *lineage.ids(person_id)}
        self._person_id = person_id
        self._former = frozenset(held.record.former_ids)
        self._elsewhere = held.record.moved_sightings

    def has(self, told_of: int, sighting_id: int) -> bool:
        """Whether what was told of an id under a sighting (0: none) is the person's."""
        if self.lineage.owner(told_of, sighting_id) == self._person_id:
            return True
        return told_of in self._former and sighting_id not in self._elsewhere


def _batches(holdings: Iterable[Holding]) -> Iterable[list[Holding]]:
    rest = iter(holdings)
    while batch := list(islice(rest, BATCH)):
        yield batch
