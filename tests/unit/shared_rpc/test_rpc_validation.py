"""The field rules of the protos, as the server enforces them."""

import math
from collections.abc import Sequence

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import attribution_pb2, event_pb2
from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import audience_pb2, scoring_pb2
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.rpc.validation import MAX_VIOLATIONS, Validator

_FILES = (identity_pb2, profile_pb2, scoring_pb2, audience_pb2, attribution_pb2)
_VALIDATOR = Validator()


def violations(message: Message) -> list[tuple[str, str]]:
    """Path and description of everything that is wrong."""
    try:
        _VALIDATOR.validate(message)
    except InvalidArgument as error:
        return [(v.field, v.description) for v in error.violations]
    return []


def paths(message: Message) -> list[str]:
    """Paths of everything that is wrong."""
    return [path for path, _ in violations(message)]


def cookie(value: str = "c1", namespace: str = "cookie") -> common_pb2.Identifier:
    return common_pb2.Identifier(namespace=namespace, value=value)


def resolve(*identifiers: common_pb2.Identifier) -> identity_pb2.BatchResolveRequest:
    return identity_pb2.BatchResolveRequest(items=[identity_pb2.ResolveItem(identifiers=identifiers)])


def behaviour(**changes: object) -> profile_pb2.IngestEventsRequest:
    event = profile_pb2.BehaviourEvent(
        event_id="e1",
        person=common_pb2.PersonRef(person_id=1),
        behaviour=common_pb2.BEHAVIOUR_VIEW,
        tags=["category:tea"],
    )
    event.MergeFrom(profile_pb2.BehaviourEvent(**changes))  # type: ignore[arg-type]  # named by the test
    return profile_pb2.IngestEventsRequest(events=[event])


def test_right_request_passes() -> None:
    assert violations(resolve(cookie())) == []
    assert violations(behaviour()) == []


def test_path_names_the_element_at_fault() -> None:
    request = identity_pb2.BatchResolveRequest(
        items=[identity_pb2.ResolveItem(identifiers=[cookie()]) for _ in range(4)]
    )
    request.items[3].identifiers[0].value = ""
    assert violations(request) == [("items[3].identifiers[0].value", "is required")]


def test_all_violations_are_told_at_once() -> None:
    assert paths(resolve(cookie("", "BAD"), cookie("x" * 513))) == [
        "items[0].identifiers[0].namespace",
        "items[0].identifiers[0].value",
        "items[0].identifiers[1].value",
    ]


def test_at_most_32_violations_are_told() -> None:
    request = identity_pb2.BatchResolveRequest(items=[identity_pb2.ResolveItem() for _ in range(100)])
    assert len(violations(request)) == MAX_VIOLATIONS


def test_empty_and_overlong_lists_are_refused() -> None:
    assert paths(identity_pb2.BatchResolveRequest()) == ["items"]
    item = identity_pb2.ResolveItem(identifiers=[cookie()])
    assert paths(identity_pb2.BatchResolveRequest(items=[item] * 1_001)) == ["items"]
    assert paths(resolve(*[cookie()] * 33)) == ["items[0].identifiers"]


def test_length_counts_bytes_and_not_characters() -> None:
    assert violations(resolve(cookie("é" * 256))) == []
    assert paths(resolve(cookie("é" * 257))) == ["items[0].identifiers[0].value"]


def test_nul_is_refused_in_strings() -> None:
    assert paths(resolve(cookie("a\0b"))) == ["items[0].identifiers[0].value"]


def test_pattern_must_match_the_whole_string() -> None:
    assert paths(resolve(cookie(namespace="cookie\n"))) == ["items[0].identifiers[0].namespace"]
    assert paths(resolve(cookie(namespace="Cookie"))) == ["items[0].identifiers[0].namespace"]


def test_rules_of_strings_hold_for_each_element_of_a_list() -> None:
    assert paths(behaviour(tags=["x" * 97])) == ["events[0].tags[1]"]
    assert paths(behaviour(tags=["x"] * 64)) == ["events[0].tags"]


def test_required_enum_is_not_zero_and_not_unknown() -> None:
    request = behaviour()
    request.events[0].behaviour = common_pb2.BEHAVIOUR_UNSPECIFIED
    assert violations(request) == [("events[0].behaviour", "is required")]
    assert paths(behaviour(behaviour=999)) == ["events[0].behaviour"]
    assert paths(behaviour(consent=common_pb2.Consent.FromString(b"\x0a\x02\x01\x4d"))) == [
        "events[0].consent.purposes[1]"
    ]


def test_required_oneof_needs_a_member() -> None:
    request = profile_pb2.DeleteProfileRequest(person=common_pb2.PersonRef())
    assert paths(request) == ["person.person"]
    assert paths(profile_pb2.DeleteProfileRequest()) == ["person"]


def test_zero_person_is_refused_although_it_is_set() -> None:
    assert paths(profile_pb2.DeleteProfileRequest(person=common_pb2.PersonRef(person_id=0))) == ["person.person_id"]


def test_unsent_number_below_its_minimum_is_refused() -> None:
    order = event_pb2.Order(
        order_id="o",
        advertiser_id="a",
        currency="USD",
        order_time=Timestamp(seconds=1),
        items=[event_pb2.OrderItem(item_id="i")],
    )
    assert paths(order) == ["items[0].quantity"]
    order.items[0].quantity = 1
    order.items[0].paid_micros = -1
    assert paths(order) == ["items[0].paid_micros"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(number: float) -> None:
    attribute = profile_pb2.Attribute(name="age", number=number)
    assert paths(attribute) == ["number"]
    assert paths(
        identity_pb2.Evidence(kind=identity_pb2.EVIDENCE_KIND_DETERMINISTIC, source="login", confidence=number)
    ) == ["confidence"]


def test_numbers_keep_their_range() -> None:
    assert paths(
        identity_pb2.Evidence(kind=identity_pb2.EVIDENCE_KIND_DETERMINISTIC, source="login", confidence=1.01)
    ) == ["confidence"]
    assert (
        paths(identity_pb2.Evidence(kind=identity_pb2.EVIDENCE_KIND_DETERMINISTIC, source="login", confidence=1.0))
        == []
    )


@pytest.mark.parametrize(
    ("span", "right"),
    [
        (Timestamp(seconds=253_402_300_799, nanos=999_999_999), True),
        (Timestamp(seconds=-62_135_596_800), True),
        (Timestamp(seconds=253_402_300_800), False),
        (Timestamp(seconds=-62_135_596_801), False),
        (Timestamp(nanos=-1), False),
        (Timestamp(nanos=1_000_000_000), False),
        (Timestamp(seconds=-5, nanos=5), True),
        (Duration(seconds=1, nanos=1), True),
        (Duration(seconds=-1, nanos=-1), True),
        (Duration(nanos=-1), True),
        (Duration(seconds=-1, nanos=1), False),
        (Duration(seconds=1, nanos=-1), False),
        (Duration(seconds=315_576_000_001), False),
        (Duration(seconds=-315_576_000_001), False),
    ],
)
def test_times_keep_the_range_of_their_type(span: Message, right: bool) -> None:  # noqa: FBT001
    assert (violations(span) == []) is right


def test_time_out_of_range_names_its_field() -> None:
    assert paths(behaviour(event_time=Timestamp(seconds=10**15))) == ["events[0].event_time"]


def test_maps_are_judged_by_key_and_value_and_types_may_contain_themselves() -> None:
    struct = Struct()
    struct.update({"a": {"b": [1.0, math.nan]}, "k" * 1_025: 1.0})
    found = paths(struct)
    assert "fields['a'].struct_value.fields['b'].list_value.values[1].number_value" in found
    assert len(found) == 2


def test_overlong_map_is_refused() -> None:
    struct = Struct()
    struct.update({str(i): 1.0 for i in range(1_001)})
    assert paths(struct) == ["fields"]


def _requests() -> list[type[Message]]:
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415

    return [
        GetMessageClass(method.input_type)
        for module in _FILES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def _needed(message: Descriptor) -> Sequence[FieldDescriptor]:
    from bihuan.common.v1 import options_pb2  # noqa: PLC0415

    return [f for f in message.fields if f.GetOptions().Extensions[options_pb2.rules].required]


@pytest.mark.parametrize("cls", _requests(), ids=lambda cls: cls.DESCRIPTOR.full_name)
def test_every_request_of_the_contract_names_its_missing_required_fields(cls: type[Message]) -> None:
    assert {field.name for field in _needed(cls.DESCRIPTOR)} <= set(paths(cls()))  # type: ignore[arg-type]  # upb's


@given(st.binary(max_size=200), st.sampled_from(_requests()))
@settings(max_examples=300, deadline=None)
def test_whatever_parses_is_judged_without_failing(raw: bytes, cls: type[Message]) -> None:
    try:
        message = cls.FromString(raw)
    except Exception:  # noqa: BLE001  # what does not parse is refused before
        return
    assert len(violations(message)) <= MAX_VIOLATIONS


@given(st.text(max_size=600), st.text(max_size=70))
@settings(max_examples=200, deadline=None)
def test_identifier_passes_exactly_when_it_keeps_the_rules(value: str, namespace: str) -> None:
    import re  # noqa: PLC0415

    right = (
        0 < len(value.encode()) <= 512
        and "\0" not in value
        and re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", namespace) is not None
    )
    assert (violations(resolve(cookie(value, namespace))) == []) is right
