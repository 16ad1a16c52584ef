"""Reading many profiles for batch work: everyone's, or those of some persons again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bihuan_profile.domain.governance import Permit
from bihuan_profile.domain.next_change import next_change_us
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.use_cases.ports import ProfileStore

SCAN_BATCH = 500


@dataclass(frozen=True, slots=True)
class Scanned:
    """What may be told of a person, and when rules say something else although nothing happens (None: never)."""

    person_id: int
    view: ProfileView
    next_change_us: int | None


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read with, and what `permit` lets out."""

    store: ProfileStore
    taxonomy: Taxonomy
    permit: Permit
    population: Population | None = None

    async def everyone(self) -> AsyncIterator[Sequence[tuple[int, Record]]]:
        """Every record, in batches of at most 500; a person may come twice when written meanwhile."""
        async for batch in self.store.scan(SCAN_BATCH):
            yield batch

    async def some(self, person_ids: Sequence[int]) -> AsyncIterator[Sequence[tuple[int, Record]]]:
        """The records held under these ids, in batches of at most 500; there is none of who is erased or merged."""
        for start in range(0, len(person_ids), SCAN_BATCH):
            batch = person_ids[start : start + SCAN_BATCH]
            yield [
                (person_id, one.record)
                for person_id, one in zip(batch, await self.store.read(batch), strict=True)
                if one.revision and not one.erased and not one.moved_to
            ]

    def told(self, records: Sequence[tuple[int, Record]], now_us: int) -> list[Scanned]:
        """What of the records may be told at `now_us`."""
        return [
            Scanned(
                person_id,
                release(record, self.permit, now_us, self.taxonomy, self.population),
                next_change_us(record, now_us),
            )
            for person_id, record in records
        ]
