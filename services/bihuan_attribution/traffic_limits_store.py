"""The limits that invalid traffic was told by, in SQL, so that it can be told again."""

import json
from dataclasses import asdict

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.invalid_traffic import TrafficLimits


def note_limits(connection: sa.Connection, limits: TrafficLimits, position: int) -> None:
    """Note that `limits` hold for what is billed above a position, where others did before; holds billing's lock."""
    table = schema.traffic_limits
    newest = sa.select(table.c.seq, table.c.content).order_by(table.c.seq.desc()).limit(1)
    held = connection.execute(newest).one_or_none()
    content = json.dumps(asdict(limits), sort_keys=True)
    if held is None or held.content != content:
        row = {"seq": held.seq + 1 if held is not None else 1, "position": position, "content": content}
        connection.execute(table.insert(), [row])
