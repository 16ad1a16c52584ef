"""Persons are found wherever a message type may hold them: in lists, maps, and in itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from bihuan_shared.errors import InvalidArgument
from bihuan_shared.person_tokens import TokenHolder, TokenStatus
from bihuan_shared.rpc.pseudonymity import Pseudonymity

_Field = descriptor_pb2.FieldDescriptorProto


class Tokens:
    """`t7` is the token of person 7."""

    async def admit(self, partner: str) -> None: ...

    async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
        return {one: TokenHolder(int(one[1:]), TokenStatus.RESOLVED) if one[0] == "t" else BAD for one in tokens}

    async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
        return {one: f"t{one}" for one in person_ids}


BAD = TokenHolder(0, TokenStatus.INVALID)


def _message_type() -> Any:
    """
    A type with everything that may come.

    message Node { uint64 buyer_person_id; string buyer_person_token; repeated uint64 person_ids; repeated string
    person_tokens; repeated uint64 merged_person_ids; fixed64 sighting_id; repeated Node nodes;
    map<string, Node> by_name; map<string, string> labels; string note; }
    """
    file = descriptor_pb2.FileDescriptorProto(name="pseudonymity_test.proto", package="pseudonymity", syntax="proto3")
    node = file.message_type.add(name="Node")
    rows = (
        ("buyer_person_id", _Field.TYPE_UINT64, False),
        ("buyer_person_token", _Field.TYPE_STRING, False),
        ("person_ids", _Field.TYPE_UINT64, True),
        ("person_tokens", _Field.TYPE_STRING, True),
        ("merged_person_ids", _Field.TYPE_UINT64, True),
        ("sighting_id", _Field.TYPE_FIXED64, False),
        ("note", _Field.TYPE_STRING, False),
        ("nodes", ".pseudonymity.Node", True),
        ("by_name", ".pseudonymity.Node.ByNameEntry", True),
        ("labels", ".pseudonymity.Node.LabelsEntry", True),
    )
    for number, (name, kind, repeated) in enumerate(rows, 1):
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        if isinstance(kind, str):
            node.field.add(name=name, number=number, type=_Field.TYPE_MESSAGE, type_name=kind, label=label)
        else:
            node.field.add(name=name, number=number, type=kind, label=label)
    for entry, value in (("ByNameEntry", ".pseudonymity.Node"), ("LabelsEntry", "")):
        made = node.nested_type.add(name=entry)
        made.options.map_entry = True
        made.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        held = made.field.add(name="value", number=2, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        if value:
            held.type, held.type_name = _Field.TYPE_MESSAGE, value
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("pseudonymity.Node"))


Node = _message_type()
TRANSLATION = Pseudonymity(Node.DESCRIPTOR)


def tree(**leaf: object) -> Any:
    """The same leaf at the root, in a list, in a map, and in a list of a map's value."""
    root = Node(**leaf, note="kept", labels={"a": "b"})
    root.nodes.add(**leaf)
    root.by_name["x"].CopyFrom(Node(**leaf))
    root.by_name["x"].nodes.add(**leaf)
    return root


async def test_ids_become_tokens_everywhere_and_what_has_no_token_goes() -> None:
    inside = tree(buyer_person_id=7, person_ids=[8, 9], merged_person_ids=[1], sighting_id=2)
    outside = await TRANSLATION.close_ids(Tokens(), "dsp", inside)
    assert outside == tree(buyer_person_token="t7", person_tokens=["t8", "t9"])
    assert inside == tree(buyer_person_id=7, person_ids=[8, 9], merged_person_ids=[1], sighting_id=2)


async def test_tokens_become_ids_everywhere() -> None:
    request = tree(buyer_person_token="t7", person_tokens=["t8", "t9"])
    await TRANSLATION.open_tokens(Tokens(), "dsp", request)
    assert request == tree(buyer_person_id=7, person_ids=[8, 9])


async def test_every_token_at_fault_is_named_by_its_path() -> None:
    request = tree(buyer_person_token="x", person_tokens=["t8", "y"])
    with pytest.raises(InvalidArgument) as refused:
        await TRANSLATION.open_tokens(Tokens(), "dsp", request)
    places = ("", "nodes[0].", "by_name['x'].", "by_name['x'].nodes[0].")
    assert {one.field for one in refused.value.violations} == {
        f"{place}{field}" for place in places for field in ("buyer_person_token", "person_tokens[1]")
    }
    assert request == tree(buyer_person_token="x", person_tokens=["t8", "y"]), "nothing is half translated"


async def test_a_message_that_names_nobody_asks_for_nothing() -> None:
    class Nobody(Tokens):
        async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
            raise AssertionError

        async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
            raise AssertionError

    await TRANSLATION.open_tokens(Nobody(), "dsp", tree())
    assert await TRANSLATION.close_ids(Nobody(), "dsp", tree(sighting_id=3)) == tree()
