"""Pages of the ledger as its rows say."""

from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.proof import StoredEntry

_PLAIN = tuple((one.name, one.type) for one in fields(StoredEntry) if one.name not in ("sides", "entry_hash"))


@dataclass(frozen=True, slots=True)
class Page:
    """Entries by number, and the numbers between them under which there are postings without an entry."""

    rows: tuple[StoredEntry, ...]
    orphans: tuple[int, ...]
    is_last: bool


def read_page(connection: sa.Connection, after: int, limit: int) -> Page:
    """Up to `limit` entries above a number with their postings."""
    entries, postings = schema.entries, schema.postings
    query = sa.select(entries).where(entries.c.entry_id > after).order_by(entries.c.entry_id).limit(limit)
    held = connection.execute(query).all()
    is_last = len(held) < limit
    between = postings.c.entry_id > after
    if not is_last:
        between &= postings.c.entry_id <= held[-1].entry_id
    sides: dict[int, list[tuple[str, int]]] = {row.entry_id: [] for row in held}
    orphans: dict[int, None] = {}
    for side in connection.execute(sa.select(postings).where(between).order_by(postings.c.entry_id)):
        if side.entry_id in sides:
            sides[side.entry_id].append((_text(side.account), _whole(side.amount_nanos)))
        else:
            orphans[side.entry_id] = None
    rows = tuple(
        StoredEntry(
            **_plain(row),
            entry_hash=bytes(row.entry_hash),
            sides=tuple(sorted(sides[row.entry_id])),
        )
        for row in held
    )
    return Page(rows, tuple(orphans), is_last)


def _plain(row: "sa.Row[tuple[object, ...]]") -> dict[str, Any]:
    return {name: (_whole if kind is int else _text)(getattr(row, name)) for name, kind in _PLAIN}


def _whole(value: object) -> int:
    """What SQLite let somebody write into a column of numbers is no number; its hash will not be right either."""
    return value if isinstance(value, int) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
