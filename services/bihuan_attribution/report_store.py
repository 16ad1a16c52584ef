"""Reports in SQL, from the figures that billing keeps up to date."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.event import DAY_US, SECOND_US
from bihuan_attribution.domain.report import FIGURE_NAMES, Dimension, Figures, ReportLine
from bihuan_attribution.reach_store import read_reach
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import format_rfc3339, parse_rfc3339_us
from bihuan_shared.sql import Database

_table = schema.figures
_COLUMNS: "dict[Dimension, sa.ColumnElement[object]]" = {
    Dimension.ADVERTISER: _table.c.advertiser_id,
    Dimension.CAMPAIGN: _table.c.campaign_id,
    Dimension.CREATIVE: _table.c.creative_id,
    Dimension.PLACEMENT: _table.c.placement_id,
    Dimension.PRICING_MODEL: _table.c.pricing_model,
    Dimension.DAY: _table.c.hour_us - _table.c.hour_us % DAY_US,
    Dimension.HOUR: _table.c.hour_us,
    Dimension.AD_GROUP: _table.c.ad_group_id,
    Dimension.AUDIENCE: _table.c.audience_id,
    Dimension.TRAFFIC_SOURCE: _table.c.traffic_source,
    Dimension.PROMOTER: _table.c.promoter_id,
}


@dataclass(frozen=True, slots=True)
class SqlReports:
    """The figures of one database."""

    database: Database

    async def query(self, query: ReportQuery) -> list[ReportLine]:
        """Rows in the order of their values, then of their currency; days are dates, hours are instants, in UTC."""
        return await self.database.read(lambda c: _query(c, query))


def _query(connection: sa.Connection, query: ReportQuery) -> list[ReportLine]:
    rows = connection.execute(_statement(query)).all()
    lines = [_line(row, query.dimensions) for row in rows]
    if not query.with_reach:
        return lines
    found = read_reach(connection, query, [tuple(row[: len(query.dimensions) + 1]) for row in rows])
    return [replace(line, reach=reach) for line, reach in zip(lines, found, strict=True)]


def _statement(query: ReportQuery) -> "sa.Select[tuple[object, ...]]":
    keys = [_COLUMNS[one].label(f"d{index}") for index, one in enumerate(query.dimensions)]
    keys.append(_table.c.currency.label("currency"))
    sums = [sa.func.sum(_table.c[name]).label(name) for name in FIGURE_NAMES]
    inner = sa.select(*keys, *sums).group_by(*(key.element for key in keys[:-1]), _table.c.currency)
    if query.start_us is not None:
        inner = inner.where(_table.c.hour_us >= query.start_us)
    if query.end_us is not None:
        inner = inner.where(_table.c.hour_us < query.end_us)
    if query.as_of_us is not None:
        inner = inner.where(_table.c.book_hour_us < query.as_of_us)
    if query.advertiser_ids:
        inner = inner.where(_table.c.advertiser_id.in_(query.advertiser_ids))
    if query.campaign_ids:
        inner = inner.where(_table.c.campaign_id.in_(query.campaign_ids))
    grouped = inner.subquery()
    order = [grouped.c[key.name] for key in keys]
    statement = sa.select(grouped).order_by(*order).limit(query.limit)
    if query.after:
        bounds = [_stored(one, text) for one, text in zip(query.dimensions, query.after, strict=False)]
        statement = statement.where(
            sa.tuple_(*order) > sa.tuple_(*(sa.literal(one) for one in (*bounds, query.after[-1])))
        )
    return statement


def _line(row: "sa.Row[tuple[object, ...]]", dimensions: tuple[Dimension, ...]) -> ReportLine:
    values = tuple(_shown(one, row[index]) for index, one in enumerate(dimensions))
    mapping = row._mapping  # noqa: SLF001  # its public name
    return ReportLine(values, mapping["currency"], Figures(*(int(mapping[name]) for name in FIGURE_NAMES)))


def _shown(dimension: Dimension, value: object) -> str:
    if dimension is Dimension.DAY and isinstance(value, int):
        return datetime.fromtimestamp(value // SECOND_US, UTC).date().isoformat()
    if dimension is Dimension.HOUR and isinstance(value, int):
        return format_rfc3339(value)
    return str(value)


def _stored(dimension: Dimension, text: str) -> str | int:
    """What `_shown` was given; ValueError for another text."""
    if dimension is Dimension.DAY:
        return parse_rfc3339_us(f"{text}T00:00:00Z")
    if dimension is Dimension.HOUR:
        return parse_rfc3339_us(text)
    return text
