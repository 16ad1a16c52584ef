"""What a row of a file for `bihuan profile load` means, and how wrong ones are told."""

import pytest
from bulk_fakes import EVENT, FACT, NOW_US, READER
from hypothesis import given
from hypothesis import strategies as st

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_cli.bulk.rows import COLUMNS, Identifier, LoadRow, Rejection, check_columns
from bihuan_shared.errors import InvalidArgument


def test_row_of_behaviour_becomes_an_event() -> None:
    cells = EVENT | {
        "behaviour": "ORDER",
        "tags": "category:tea|brand:acme",
        "currency": "EUR",
        "amount_micros": "9900000",
        "items": '[{"category": "tea", "quantity": 2}]',
        "consent_data_classes": "transaction",
        "consent_source": "cmp",
    }
    row = READER.read(3, cells)
    assert isinstance(row, LoadRow)
    assert (row.row, row.who) == (3, Identifier("login", "somebody"))
    assert isinstance(row.message, pb.BehaviourEvent)
    assert row.message.behaviour == common_pb2.BEHAVIOUR_ORDER
    assert list(row.message.tags) == ["category:tea", "brand:acme"]
    assert row.message.amount == common_pb2.Money(currency="EUR", micros=9_900_000)
    assert row.message.items[0] == common_pb2.PurchasedItem(category="tea", quantity=2)
    assert row.message.event_time.ToMicroseconds() == NOW_US
    assert row.message.consent.purposes == [common_pb2.PURPOSE_TARGETING, common_pb2.PURPOSE_MEASUREMENT]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("gender", "f", pb.Attribute(text="f")), ("birth_year", "1980", pb.Attribute(number=1980)),
     ("birth_year", 1980, pb.Attribute(number=1980)), ("newsletter", "True", pb.Attribute(flag=True)),
     ("newsletter", False, pb.Attribute(flag=False))],
)  # fmt: skip
def test_value_of_an_attribute_has_the_type_of_the_taxonomy(name: str, value: object, told: pb.Attribute) -> None:
    row = READER.read(1, FACT | {"attribute": name, "value": value})
    assert isinstance(row, LoadRow)
    assert isinstance(row.message, pb.AttributeUpdate)
    (attribute,) = row.message.attributes
    assert attribute.WhichOneof("value") == told.WhichOneof("value")
    assert (attribute.text, attribute.number, attribute.flag) == (told.text, told.number, told.flag)


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        (EVENT | {"consent_purposes": ""}, "consent_purposes", "NO_CONSENT"),
        (FACT | {"consent_purposes": None}, "consent_purposes", "NO_CONSENT"),
        (EVENT | {"consent_purposes": "everything"}, "consent_purposes", "INVALID_FIELD"),
        (EVENT | {"consent_data_classes": "operation|COzX"}, "consent_data_classes", "INVALID_FIELD"),
        (EVENT | {"behaviour": "look"}, "behaviour", "INVALID_FIELD"),
        (EVENT | {"attribute": "gender", "value": "f"}, "behaviour", "INVALID_FIELD"),
        ({**EVENT, "behaviour": ""}, "behaviour", "INVALID_FIELD"),
        (EVENT | {"event_id": ""}, "event_id", "INVALID_FIELD"),
        (EVENT | {"event_id": "é" * 65}, "event_id", "INVALID_FIELD"),
        (EVENT | {"event_time": ""}, "event_time", "INVALID_FIELD"),
        (EVENT | {"event_time": "yesterday"}, "event_time", "INVALID_FIELD"),
        (EVENT | {"event_time": str(10**18)}, "event_time", "INVALID_FIELD"),
        (EVENT | {"event_time": 1.5}, "event_time", "INVALID_FIELD"),
        (EVENT | {"tags": "a\x07b"}, "tags", "INVALID_FIELD"),
        (EVENT | {"tags": [1.5]}, "tags", "INVALID_FIELD"),
        (EVENT | {"amount_micros": "5"}, "currency", "INVALID_FIELD"),
        (EVENT | {"currency": "EUR", "amount_micros": "-5"}, "amount_micros", "INVALID_FIELD"),
        (EVENT | {"currency": "EUR", "amount_micros": "9.5"}, "amount_micros", "INVALID_FIELD"),
        (EVENT | {"items": "tea"}, "items", "INVALID_FIELD"),
        (EVENT | {"items": '[{"category": 1}]'}, "items", "INVALID_FIELD"),
        (EVENT | {"items": '[{"quantity": 99999999999}]'}, "items", "INVALID_FIELD"),
        (EVENT | {"identifier": ""}, "identifier", "INVALID_FIELD"),
        (EVENT | {"namespace": ""}, "namespace", "INVALID_FIELD"),
        (EVENT | {"person_id": "7"}, "person_id", "INVALID_FIELD"),
        (FACT | {"person_id": "0"}, "person_id", "INVALID_FIELD"),
        (FACT | {"person_id": True}, "person_id", "INVALID_FIELD"),
        (FACT | {"attribute": "shoe_size"}, "attribute", "INVALID_FIELD"),
        (FACT | {"attribute": "birth_year", "value": "MCMLXXX"}, "value", "INVALID_FIELD"),
        (FACT | {"attribute": "birth_year", "value": "nan"}, "value", "INVALID_FIELD"),
        (FACT | {"attribute": "newsletter", "value": "perhaps"}, "value", "INVALID_FIELD"),
        (FACT | {"value": ""}, "value", "INVALID_FIELD"),
        (FACT | {"update_time": ""}, "update_time", "INVALID_FIELD"),
    ],
)
def test_wrong_row_is_rejected_by_field_and_reason(cells: dict[str, object], field: str, reason: str) -> None:
    row = READER.read(5, cells)
    assert isinstance(row, Rejection)
    assert (row.row, row.field, row.reason) == (5, field, reason)


@given(st.dictionaries(st.sampled_from(COLUMNS), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_whatever_stands_in_a_row_it_is_read_or_rejected_and_never_repeated(cells: dict[str, object]) -> None:
    marked = cells | {"identifier": "secret-of-somebody"}
    row = READER.read(1, marked)
    assert isinstance(row, LoadRow) or "secret" not in f"{row}"


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["event_id", "behaviour", "event_time", "consent_purposes"], "namespace, identifier"),
        (["person_id", "consent_purposes"], "behaviour or attribute"),
        (["person_id", "behaviour", "consent_purposes"], "event_id, event_time"),
        (["person_id", "attribute", "value", "consent_purposes"], "update_time"),
        (["person_id", "behaviour", "event_id", "event_time"], "consent_purposes"),
        ([*COLUMNS, "colour"], "'colour'"),
        ([*COLUMNS, "value"], "value"),
    ],
)
def test_file_without_the_columns_it_needs_is_refused_whole(columns: list[str], told: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_columns(columns)
    assert told in refused.value.detail
