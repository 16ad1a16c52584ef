"""What the lake's rows of events say: all that the log knows, one file a range."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow.fs import FileSystem

from bihuan_attribution.domain.event import (
    HOUR_US,
    ActionReport,
    AdFacts,
    EventType,
    LoggedEvent,
    OrderLine,
    OrderReport,
    OrderStatus,
    Signals,
)
from bihuan_attribution.event_sinks import LakeSink, accepted_event, lake_table
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake, open_lake

NOON_US = 1_500_000_000_000_000 // HOUR_US * HOUR_US
AD = AdFacts("t1", "d1", "c1", "cr1", "p1", "g1", "acme", 3, "cpm", 2_500_000, "EUR", "r1", "pia", "blog", "fans")
LINES = (OrderLine("i1", 2, 30_000_000, "shop", ("category:tea",)), OrderLine("i2", 1, 5))
ORDER = OrderReport("o1", "acme", "USD", NOON_US - 1, OrderStatus.PAID, 2, "t9", LINES)
CLICK = LoggedEvent(
    7,
    EventType.CLICK,
    "t1",
    NOON_US,
    NOON_US - 5,
    11,
    AD,
    None,
    b"",
    2**64 - 1,
    None,
    Signals(2**63, prefetch=True),
    b"\x01\xff",
)
BOUGHT = LoggedEvent(8, EventType.ORDER, "e1", NOON_US + 2 * HOUR_US, NOON_US - 1, 12, None, ORDER)
BACK = LoggedEvent(
    9, EventType.REFUND, "e2", NOON_US, NOON_US, 0, None,
    replace(ORDER, status=OrderStatus.UNSPECIFIED, lines=(OrderLine("i1", 1, 15_000_000),)),
)  # fmt: skip


def test_a_row_of_a_click_carries_its_token() -> None:
    (row,) = lake_table([CLICK]).to_pylist()
    assert row == {
        "log_position": 7, "event_type": "click", "event_id": "t1", "advertiser_id": "acme", "person_id": 11,
        "sighting_id": 2**64 - 1, "event_time_us": NOON_US - 5, "receive_time_us": NOON_US,
        "token_id": "t1", "decision_id": "d1", "campaign_id": "c1", "creative_id": "cr1", "placement_id": "p1",
        "ad_group_id": "g1", "terms_version": 3, "pricing_model": "cpm", "price_micros": 2_500_000, "currency": "EUR",
        "reservation_id": "r1", "order_id": "", "click_id": "t1", "paid_micros": 0, "order_currency": "",
        "order_status": "", "order_channel": 0, "order_time_us": 0, "items": [],
        "promoter_id": "pia", "sub_id": "blog", "audience_id": "fans", "action": "", "action_reference": "",
        "address_hash": 2**63, "known_bot": False, "prefetch": True, "data_centre": False, "body_hash": "01ff",
    }  # fmt: skip


def test_an_accepted_order_tells_what_was_bought_as_far_as_its_tags_do() -> None:
    tags = ("season:winter", "category:shoes", "brand:acme", "size:42", "category:boots")
    lines = (OrderLine("i1", 2, 30, tags=tags), OrderLine("i2", 1, 5), OrderLine("i3", 3, 5, tags=("brand:zed",)))
    told = accepted_event(replace(BOUGHT, order=replace(ORDER, lines=lines))).items
    assert [(one.category, one.brand, one.size, one.quantity) for one in told] == [
        ("shoes", "acme", "42", 2),
        ("", "zed", "", 3),
    ]


def test_only_a_click_is_its_own_click() -> None:
    shown = replace(CLICK, event_type=EventType.IMPRESSION)
    assert lake_table([shown, CLICK, BOUGHT])["click_id"].to_pylist() == ["", "t1", "t9"]


def test_a_row_of_a_lead_carries_what_was_done() -> None:
    action = ActionReport("acme", "form_submit", NOON_US, "t9", "crm-1")
    (row,) = lake_table([LoggedEvent(9, EventType.LEAD, "e", 1, 2, 3, None, None, action=action)]).to_pylist()
    assert (row["advertiser_id"], row["action"], row["action_reference"]) == ("acme", "form_submit", "crm-1")
    assert (row["event_type"], row["click_id"], row["campaign_id"]) == ("lead", "t9", "")


def test_rows_of_orders_and_refunds_carry_their_lines() -> None:
    order, refund = lake_table([BOUGHT, CLICK, BACK]).filter(pa.array([True, False, True])).to_pylist()
    assert order["items"] == [
        {"item_id": "i1", "shop_id": "shop", "quantity": 2, "paid_micros": 30_000_000, "tags": ["category:tea"]},
        {"item_id": "i2", "shop_id": "", "quantity": 1, "paid_micros": 5, "tags": []},
    ]
    assert (order["paid_micros"], order["order_id"], order["order_currency"]) == (30_000_005, "o1", "USD")
    assert (order["order_status"], order["order_channel"], order["order_time_us"]) == ("paid", 2, NOON_US - 1)
    assert (order["token_id"], order["currency"], order["terms_version"]) == ("", "", 0)
    assert (order["advertiser_id"], order["click_id"]) == ("acme", "t9")
    (line,) = refund["items"]
    assert (refund["event_type"], refund["order_status"], line["item_id"]) == ("refund", "", "i1")
    assert refund["paid_micros"] == line["paid_micros"] == 15_000_000


async def test_a_range_is_one_file_in_the_hour_of_its_latest_receipt(tmp_path: object) -> None:
    lake = open_lake(str(tmp_path))
    for _ in range(2):
        await LakeSink(lake).publish([CLICK, BOUGHT, BACK])
    (path,) = lake.list("events")
    assert path.endswith("/date=2017-07-14/hour=04/0000000000000007-0000000000000009.parquet")
    rows = lake.dataset("events", lake_table([]).schema).to_table()
    assert rows["log_position"].to_pylist() == [7, 8, 9]


class _Full:
    """A store without room."""

    def put(self, path: str, content: pa.Buffer) -> None:
        raise OSError(28, "no space left")

    def remove(self, path: str) -> None:
        raise NotImplementedError

    def list(self, dataset: str) -> Sequence[str]:
        return []

    def files(self) -> FileSystem:
        raise NotImplementedError


async def test_a_store_that_refuses_is_tried_again() -> None:
    with pytest.raises(Unavailable, match="lake"):
        await LakeSink(Lake(_Full())).publish([CLICK])
