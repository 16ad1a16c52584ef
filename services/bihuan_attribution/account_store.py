"""Terms of advertisers' accounts and of placements, and sealed bids for days, in SQL."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TypeVar

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.accounts import AdvertiserTerms, LeadPoints, LeadRules, PlacementBook, PlacementTerms
from bihuan_attribution.domain.versions import Versioned
from bihuan_attribution.event_log_store import chunks
from bihuan_shared.errors import AlreadyExists, FailedPrecondition

_Terms = TypeVar("_Terms", bound=Versioned)
_PLACEMENT = tuple(one.name for one in fields(PlacementTerms))
_ADVERTISER = tuple(one.name for one in fields(AdvertiserTerms) if one.name != "leads")


def read_placements(connection: sa.Connection, placement_ids: Iterable[str]) -> PlacementBook:
    """All versions of some placements."""
    table = schema.placement_terms
    found: list[PlacementTerms] = []
    for chunk in chunks(set(placement_ids) - {""}):
        found += [
            _placement(row) for row in connection.execute(sa.select(table).where(table.c.placement_id.in_(chunk)))
        ]
    return PlacementBook(found)


def read_advertisers(connection: sa.Connection, advertiser_ids: Iterable[str]) -> dict[str, list[AdvertiserTerms]]:
    """All versions of some advertisers' accounts, oldest first."""
    table = schema.advertiser_terms
    found: dict[str, list[AdvertiserTerms]] = {}
    for chunk in chunks(set(advertiser_ids)):
        query = sa.select(table).where(table.c.advertiser_id.in_(chunk)).order_by(table.c.version)
        for row in connection.execute(query):
            found.setdefault(row.advertiser_id, []).append(_advertiser(row))
    return found


def put_placements(connection: sa.Connection, terms: Sequence[PlacementTerms], seq: int) -> int:
    """Add what is new, numbered after `seq`; how many were. Errors as in `_news`."""
    held = read_placements(connection, {one.placement_id for one in terms})
    news = _news([(one.placement_id, one, held.versions(one.placement_id)) for one in terms], "placement")
    rows = [
        {name: getattr(one, name) for name in _PLACEMENT} | {"seq": seq + index} for index, one in enumerate(news, 1)
    ]
    if rows:
        connection.execute(schema.placement_terms.insert(), rows)
    return len(rows)


def put_advertisers(connection: sa.Connection, terms: Sequence[AdvertiserTerms], seq: int) -> int:
    """Add what is new, numbered after `seq`; how many were. FailedPrecondition also where the currency would change."""
    held = read_advertisers(connection, {one.advertiser_id for one in terms})
    for one in terms:
        if any(other.currency != one.currency for other in held.get(one.advertiser_id, ())):
            raise FailedPrecondition(f"the account of {one.advertiser_id} has another currency")
    news = _news([(one.advertiser_id, one, held.get(one.advertiser_id, [])) for one in terms], "advertiser")
    rows = [
        {name: getattr(one, name) for name in _ADVERTISER} | {"leads": _leads_text(one.leads), "seq": seq + index}
        for index, one in enumerate(news, 1)
    ]
    if rows:
        connection.execute(schema.advertiser_terms.insert(), rows)
    return len(rows)


def _news(asked: Sequence[tuple[str, _Terms, Sequence[_Terms]]], what: str) -> list[_Terms]:
    """
    Those of the terms that are not held yet.

    Raises AlreadyExists where a version is held with another content, and FailedPrecondition (STALE_TERMS) where a
    newer one is held.
    """
    news: list[_Terms] = []
    fresh: dict[str, list[_Terms]] = {}
    for name, one, holding in asked:
        known = [*holding, *fresh.get(name, [])]
        same = next((other for other in known if other.version == one.version), None)
        if same is not None and same != one:
            raise AlreadyExists(f"version {one.version} of {what} {name} has another content")
        if same is None and any(other.version > one.version for other in known):
            raise FailedPrecondition(f"{what} {name} is at a newer version already", reason="STALE_TERMS")
        if same is None:
            fresh.setdefault(name, []).append(one)
            news.append(one)
    return news


def _placement(row: "sa.Row[tuple[object, ...]]") -> PlacementTerms:
    return PlacementTerms(**{name: getattr(row, name) for name in _PLACEMENT})


def _advertiser(row: "sa.Row[tuple[object, ...]]") -> AdvertiserTerms:
    return AdvertiserTerms(**{name: getattr(row, name) for name in _ADVERTISER}, leads=_leads(row.leads))


def _leads_text(rules: LeadRules | None) -> str:
    if rules is None:
        return ""
    return json.dumps([rules.threshold, [[one.action, one.points, one.max_count] for one in rules.points]])


def _leads(text: str) -> LeadRules | None:
    if not text:
        return None
    threshold, points = json.loads(text)
    return LeadRules(threshold, tuple(LeadPoints(*one) for one in points))
