"""Telling a person everything that is held about them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Final

from bihuan_profile.domain.holding import Holding, held_event, held_in
from bihuan_profile.domain.joining import once
from bihuan_profile.domain.lineage import Lineage
from bihuan_profile.domain.retention import Retention
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.use_cases.knowing import living
from bihuan_profile.use_cases.ports import History, Journal, ProfileStore

BATCH: Final = 500


async def export_profile(
    store: ProfileStore,
    journal: Journal,
    history: History,
    taxonomy: Taxonomy,
    retention: Retention,
    person_id: int,
) -> AsyncIterator[Sequence[Holding]]:
    """
    What the record holds, then every event that was kept, under whatever id and by time, in lists of at most 500.

    Nothing of somebody who is not known or was erased. Raises Unavailable.
    """
    person_id, held = await living(store, person_id)
    if held.erased:
        return
    for some in _batches(held_in(held.record, taxonomy, retention)):
        yield some
    lineage = Lineage(await history.changes())
    elsewhere = held.record.moved_sightings
    ids = {person_id, *held.record.former_ids, *lineage.ids(person_id)}
    found = await journal.read(ids, lineage.sightings(person_id))
    mine = [
        one
        for one in found
        if lineage.owner(one.person_id, one.sighting_id) == person_id
        or (one.person_id in held.record.former_ids and one.sighting_id not in elsewhere)
    ]
    for some in _batches(held_event(one, retention) for one in once(mine)):
        yield some


def _batches(holdings: Iterable[Holding]) -> Iterable[list[Holding]]:
    rest = iter(holdings)
    while batch := list(islice(rest, BATCH)):
        yield batch
