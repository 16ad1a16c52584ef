"""What the SQL store tells of persons to partners' pseudonyms, and of erasures to receipts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from bihuan_identity.schema import ALIASES, ERASED_PERSONS, IDENTIFIERS, PERSONS, TOMBSTONES
from bihuan_identity.use_cases.pseudonyms import PersonStanding
from bihuan_identity.use_cases.receipts import ErasureRecord
from bihuan_shared.sql import Database

# Each id stands three times in the statement, whose parameters are bounded (SQLite 32,766; PostgreSQL 65,535).
_PAGE: Final = 10_000


class SqlPersons:
    """Persons and erasures in identity's own database (SQLite or PostgreSQL)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, person_ids: Sequence[int]) -> Mapping[int, PersonStanding]:
        """Return who stands for each of these ids now, one query for up to 10,000. Raises Unavailable."""

        def read(connection: sa.Connection) -> dict[int, PersonStanding]:
            found: dict[int, PersonStanding] = {}
            for page in _pages(person_ids):
                for person_id, stands, withdrawn in connection.execute(_standing(page)):
                    # A person that was absorbed or erased may still have a row of its own: the rest decides.
                    if person_id not in found or stands != person_id or withdrawn:
                        found[person_id] = PersonStanding(stands, bool(withdrawn))
            return found

        return await self._database.read(read)

    async def erasure(self, erasure_id: int) -> ErasureRecord | None:
        """Return the tombstones of an erasure, and how many of their keys are known again. Raises Unavailable."""
        # What a newer pepper took over stands under the negative id: not in the receipt, but not to come back either.
        buried = (
            sa.select(TOMBSTONES.c.key, TOMBSTONES.c.erasure_id, IDENTIFIERS.c.key)
            .outerjoin(IDENTIFIERS, IDENTIFIERS.c.key == TOMBSTONES.c.key)
            .where(TOMBSTONES.c.erasure_id.in_((erasure_id, -erasure_id)))
        )

        def read(connection: sa.Connection) -> ErasureRecord | None:
            rows = connection.execute(buried).all()
            if not rows:
                return None
            named = tuple(bytes(row[0]) for row in rows if row[1] == erasure_id)
            return ErasureRecord(named, sum(row[2] is not None for row in rows))

        return await self._database.read(read)


def _standing(person_ids: Sequence[int]) -> sa.Select[int, int, int | None]:
    """Rows (id, person that stands for it, an id where that person is erased) of those of the ids that are known."""
    known = sa.union_all(
        sa.select(PERSONS.c.person_id.label("asked"), PERSONS.c.person_id.label("stands")).where(
            PERSONS.c.person_id.in_(person_ids)
        ),
        sa.select(ERASED_PERSONS.c.person_id, ERASED_PERSONS.c.person_id).where(
            ERASED_PERSONS.c.person_id.in_(person_ids)
        ),
        sa.select(ALIASES.c.alias_id, ALIASES.c.person_id).where(ALIASES.c.alias_id.in_(person_ids)),
    ).subquery("known")
    return sa.select(known.c.asked, known.c.stands, ERASED_PERSONS.c.person_id).outerjoin(
        ERASED_PERSONS, ERASED_PERSONS.c.person_id == known.c.stands
    )


def _pages(person_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(person_ids), _PAGE):
        yield person_ids[start : start + _PAGE]
