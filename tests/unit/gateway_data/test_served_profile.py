"""A profile as it came over the wire."""

from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_gateway.data.hops.profile import ServedProfile


def message() -> pb.Profile:
    attributes = [pb.Attribute(name="age", number=30), pb.Attribute(name="acme.vip_level", number=3)]
    return pb.Profile(person_id=7, attributes=attributes, segments=["new"])


def test_private_attributes_serve_targeting_and_go_no_further() -> None:
    profile = ServedProfile(message(), may_be_private=True)
    assert (profile.attribute("acme.vip_level"), profile.attribute("age")) == (3, 30)
    assert [item.name for item in profile.message.attributes] == ["age"]
    assert b"vip_level" not in profile.record()
    assert profile.in_segment("new")


def test_message_without_private_attributes_stays_as_it_is() -> None:
    plain = pb.Profile(person_id=7, attributes=[pb.Attribute(name="age", number=30)])
    profile = ServedProfile(plain, may_be_private=True)
    assert profile.message is plain
    assert (profile.attribute("age"), profile.attribute("none")) == (30, None)
