"""What prospects did, read from the touches and the actions that billing holds, under the persons of now."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.intake import ACTION_MARK
from bihuan_attribution.domain.lead import LeadKey, Step
from bihuan_attribution.domain.order import OrderKey
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.order_store import of_keys
from bihuan_attribution.wire import action_report

_FINDING = "finding"
_ACTIONS = (int(EventType.ENGAGEMENT), int(EventType.LEAD))
_TOUCHES = (int(EventType.CLICK), int(EventType.LANDING))
_Rows = Iterator["sa.Row[tuple[object, ...]]"]


@dataclass(slots=True)
class Prospects:
    """Who may have to be scored anew: persons, and click tokens that anonymous actions may name."""

    person_ids: set[int] = field(default_factory=set)
    token_ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Happened:
    """What may have changed leads: tokens whose touches changed, and actions, by their keys among orders."""

    token_ids: set[str] = field(default_factory=set)
    actions: set[OrderKey] = field(default_factory=set)


def read_happened(connection: sa.Connection, after: int, upto: int, advertiser_ids: Iterable[str]) -> Happened:
    """What the billed events above a position were about, of some advertisers."""
    table = schema.events
    found = Happened()
    for chunk in chunks(advertiser_ids):
        query = sa.select(table.c.event_type, table.c.event_id, table.c.token_id, table.c.advertiser_id)
        inside = (table.c.position > after) & (table.c.position <= upto)
        for row in connection.execute(query.where(inside, table.c.advertiser_id.in_(chunk))):
            if row.event_type in _ACTIONS:
                name = f"{ACTION_MARK}{EventType(row.event_type).word}/{row.event_id}"
                found.actions.add((row.advertiser_id, name))
            elif row.token_id:
                # An impression may have let a click through that waited for it.
                found.token_ids.add(row.token_id)
    return found


def read_findings(connection: sa.Connection, after: int, limit: int) -> tuple[int, set[str]]:
    """
    The tokens of touches that were found to be invalid after an operation, and the last operation looked at.

    Nothing tells by an event that they are invalid now.
    """
    table = schema.operations
    query = sa.select(table.c.seq, table.c.kind, table.c.body).where(table.c.seq > after)
    last, tokens = after, set[str]()
    for row in connection.execute(query.order_by(table.c.seq).limit(limit)):
        last = row.seq
        if row.kind == _FINDING:
            tokens |= {cause.partition("/")[2] for cause in json.loads(row.body)["told"]["events"]}
    return last, tokens


def prospects_of(connection: sa.Connection, happened: Happened) -> Prospects:
    """Whose leads may have changed: of the touches, of the actions, and of actions that name the touches' clicks."""
    found = Prospects()
    _add_touching(connection, found, happened.token_ids)
    orders = schema.orders
    conditions = [of_keys(orders, chunk) for chunk in chunks(happened.actions)]
    conditions += [
        orders.c.click_id.in_(chunk) & orders.c.outcome.in_(_ACTIONS) for chunk in chunks(happened.token_ids)
    ]
    for condition in conditions:
        for who in connection.execute(sa.select(orders.c.person_id, orders.c.click_id).where(condition)):
            if who.person_id:
                found.person_ids.add(who.person_id)
            elif who.click_id:
                found.token_ids.add(who.click_id)
    return found


def _add_touching(connection: sa.Connection, found: Prospects, tokens: set[str]) -> None:
    table = schema.touches
    query = sa.select(table.c.person_id).distinct().where(table.c.person_id > 0, table.c.event_type.in_(_TOUCHES))
    for chunk in chunks(tokens):
        found.person_ids.update(connection.execute(query.where(table.c.token_id.in_(chunk))).scalars())


def read_steps(connection: sa.Connection, prospects: Prospects, max_steps: int) -> dict[LeadKey, set[Step]]:
    """
    What every prospect that opened a lead did: at most `max_steps` actions and as many touches, the newest.

    Clicks that an action names count with it, whoever made them.
    """
    steps: dict[LeadKey, set[Step]] = {}
    by_token: dict[tuple[str, str], set[LeadKey]] = {}
    for row in _actions(connection, prospects, max_steps):
        key = LeadKey(row.advertiser_id, row.person_id, "" if row.person_id else row.click_id)
        report = action_report(event_pb2.Event.FromString(row.body))
        step = Step(EventType(row.outcome), row.event_id, row.order_time_us, report.name, report.reference)
        steps.setdefault(key, set()).add(step)
        if row.click_id:
            by_token.setdefault((row.advertiser_id, row.click_id), set()).add(key)
    for row in _touches_of_persons(connection, {key.person_id for key in steps if key.person_id}, max_steps):
        key = LeadKey(row.advertiser_id, row.person_id)
        if key in steps:
            steps[key].add(_touch(row))
    for row in _touches_of_tokens(connection, {token_id for _, token_id in by_token}):
        for key in by_token.get((row.advertiser_id, row.token_id), ()):
            steps[key].add(_touch(row))
    return steps


def _touch(row: "sa.Row[tuple[object, ...]]") -> Step:
    return Step(
        EventType(row.event_type),
        row.token_id,
        row.touch_time_us,
        campaign_id=row.campaign_id,
        creative_id=row.creative_id,
    )


def _actions(connection: sa.Connection, prospects: Prospects, limit: int) -> _Rows:
    orders, events = schema.orders, schema.events
    told = orders.join(events, events.c.position == orders.c.position)
    columns = (orders.c.advertiser_id, orders.c.person_id, orders.c.click_id, orders.c.outcome, orders.c.order_time_us)
    newest = (orders.c.order_time_us.desc(), orders.c.order_id.desc())
    # What was told of somebody who is nobody now was erased, and comes back under no other name.
    anonymous = (orders.c.person_id == 0) & (events.c.person_id == 0)
    asked = [
        (orders.c.person_id.in_(chunk) & (orders.c.person_id > 0), orders.c.person_id)
        for chunk in chunks(prospects.person_ids)
    ]
    asked += [(orders.c.click_id.in_(chunk) & anonymous, orders.c.click_id) for chunk in chunks(prospects.token_ids)]
    for condition, owner in asked:
        number = sa.func.row_number().over(partition_by=(orders.c.advertiser_id, owner), order_by=newest)
        inner = (
            sa.select(*columns, events.c.event_id, events.c.body, number.label("number"))
            .select_from(told)
            .where(condition, orders.c.outcome.in_(_ACTIONS))
            .subquery()
        )
        yield from connection.execute(sa.select(inner).where(inner.c.number <= limit))


def _touches_of_persons(connection: sa.Connection, person_ids: Iterable[int], limit: int) -> _Rows:
    table = schema.touches
    newest = (table.c.touch_time_us.desc(), table.c.token_id.desc(), table.c.event_type.desc())
    number = sa.func.row_number().over(partition_by=(table.c.advertiser_id, table.c.person_id), order_by=newest)
    for chunk in chunks(person_ids):
        inner = (
            sa.select(table, number.label("number"))
            .where(table.c.person_id.in_(chunk), table.c.person_id > 0)
            .where(table.c.event_type.in_(_TOUCHES), table.c.invalid == "")
            .subquery()
        )
        yield from connection.execute(sa.select(inner).where(inner.c.number <= limit))


def _touches_of_tokens(connection: sa.Connection, token_ids: Iterable[str]) -> _Rows:
    table = schema.touches
    for chunk in chunks(token_ids):
        valid = table.c.event_type.in_(_TOUCHES) & (table.c.invalid == "")
        yield from connection.execute(sa.select(table).where(table.c.token_id.in_(chunk), valid))
