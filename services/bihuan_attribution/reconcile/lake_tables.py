"""The columns of the lake that the fold reads; what a file lacks is null."""

from typing import Final

import pyarrow as pa

_ITEM: Final = pa.struct(
    [
        ("item_id", pa.string()),
        ("shop_id", pa.string()),
        ("quantity", pa.int64()),
        ("paid_micros", pa.int64()),
        ("tags", pa.list_(pa.string())),
    ]
)
_TEXTS: Final = (
    "event_type", "event_id", "advertiser_id", "token_id", "campaign_id", "creative_id", "placement_id",
    "pricing_model", "currency", "promoter_id", "order_id", "click_id", "order_currency", "order_status",
)  # fmt: skip
_NUMBERS: Final = (
    "log_position", "person_id", "event_time_us", "receive_time_us", "terms_version", "price_micros", "order_time_us",
)  # fmt: skip


def _columns(*names: str, of: pa.DataType) -> list[tuple[str, pa.DataType]]:
    return [(name, of) for name in names]


TABLES: Final = {
    "events": pa.schema(
        [
            *_columns(*_TEXTS, of=pa.string()),
            *_columns(*_NUMBERS, of=pa.int64()),
            *_columns("sighting_id", "address_hash", of=pa.uint64()),
            *_columns("known_bot", "prefetch", "data_centre", of=pa.bool_()),
            ("items", pa.list_(_ITEM)),
        ]
    ),
    "terms": pa.schema(
        [
            *_columns("campaign_id", "currency", "commission_rates", of=pa.string()),
            *_columns("version", "billing_position", "effective_time_us", "click_window_us", of=pa.int64()),
            *_columns("commission_rate_ppm", "promoter_share_ppm", of=pa.int64()),
            ("bills_viewable", pa.bool_()),
        ]
    ),
    "placements": pa.schema(
        [
            *_columns("placement_id", "publisher_id", of=pa.string()),
            *_columns("version", "billing_position", "effective_time_us", "revenue_share_ppm", of=pa.int64()),
        ]
    ),
    "operations": pa.schema(
        [
            *_columns("seq", "time_us", of=pa.int64()),
            *_columns("kind", "operation_id", "body", of=pa.string()),
        ]
    ),
    "persons": pa.schema([*_columns("change_id", "position", of=pa.int64()), ("content", pa.string())]),
    "refusals": pa.schema([*_columns("position", "noted_position", of=pa.int64()), ("reason", pa.string())]),
    "traffic_limits": pa.schema([*_columns("seq", "position", of=pa.int64()), ("content", pa.string())]),
}
"""By dataset; in the fold's database each is `lake_<dataset>`."""
