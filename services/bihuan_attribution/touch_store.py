"""Touches in SQL."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import ad_facts_of, chunks


def touch_from(row: "sa.Row[tuple[object, ...]]") -> Touch:
    """A touch from a row of its table."""
    return Touch(
        position=row.position,
        event_type=EventType(row.event_type),
        touch_time_us=row.touch_time_us,
        bill_time_us=row.bill_time_us,
        person_id=row.person_id,
        ad=ad_facts_of(row),
        invalid=row.invalid,
        excess=row.excess,
    )


def read_touches(
    connection: sa.Connection, orders: Iterable[OrderState], event_types: Sequence[EventType]
) -> list[Touch]:
    """
    Valid touches that name the click or the person of one of the orders, and the clicks that the orders met.

    Those that were met are there whatever was found out about them later.
    """
    held = list(orders)
    table = schema.touches
    of_type = table.c.event_type.in_([int(one) for one in event_types])
    valid = table.c.invalid == ""
    met = {one.last_click_id for one in held} | {one.last_cps_click_id for one in held}
    met |= {one.commission.token_id for one in held}
    clicks = {one.click_id for one in held} - met
    persons = {one.person_id for one in held if one.person_id}
    conditions: list[sa.ColumnElement[bool]] = [table.c.token_id.in_(chunk) & valid for chunk in chunks(clicks - {""})]
    conditions += [
        table.c.token_id.in_(chunk) & (valid | table.c.invalid.like("late%")) for chunk in chunks(met - {""})
    ]
    conditions += [table.c.person_id.in_(chunk) & (table.c.person_id > 0) & valid for chunk in chunks(persons)]
    found: dict[int, Touch] = {}
    for condition in conditions:
        for row in connection.execute(sa.select(table).where(condition, of_type)):
            found[row.position] = touch_from(row)
    return list(found.values())
