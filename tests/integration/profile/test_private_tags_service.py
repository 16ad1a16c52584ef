"""Private tags over a socket: declared, set, told to whom they belong, and to nobody else."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.callers import Role
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, PermissionDenied

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CONSENT = common.Consent(
    purposes=[common.PURPOSE_TARGETING],
    data_classes=[common.DATA_CLASS_REGISTRATION, common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION],
)


def person() -> common.PersonRef:
    return common.PersonRef(person_id=7)


def vip(**changes: object) -> pb.Tag:
    tag = pb.Tag(
        name="acme.vip_level",
        type=pb.TAG_TYPE_NUMBER,
        data_class=common.DATA_CLASS_TRANSACTION,
        purposes=[common.PURPOSE_TARGETING],
        display_names={"en": "VIP level"},
        retention_days=30,
        half_life_days=1.5,
    )
    tag.MergeFrom(pb.Tag(**changes))  # type: ignore[arg-type]  # fields by name
    return tag


def put(*tags: pb.Tag, advertiser_id: str = "acme") -> pb.PutTagsRequest:
    return pb.PutTagsRequest(advertiser_id=advertiser_id, tags=tags)


def level(name: str = "acme.vip_level") -> pb.SetAttributesRequest:
    attribute = pb.Attribute(name=name, number=3)
    return pb.SetAttributesRequest(updates=[pb.AttributeUpdate(person=person(), attributes=[attribute])])


async def told(stub: "ProfileServiceAsyncStub", *advertiser_ids: str) -> pb.Profile:
    query = pb.ProfileQuery(
        person=person(), purpose=common.PURPOSE_TARGETING, consent=CONSENT, advertiser_ids=advertiser_ids
    )
    return (await stub.BatchGetProfiles(pb.BatchGetProfilesRequest(queries=[query]))).profiles[0]


@pytest.fixture
async def profile(start: Start, redis_url: str) -> "ProfileServiceAsyncStub":
    return await start(redis_url)


async def test_private_tag_is_declared_set_and_told_to_its_advertiser(profile: "ProfileServiceAsyncStub") -> None:
    assert (await profile.PutTags(put(vip()))).changed_count == 1
    assert (await profile.PutTags(put(vip()))).changed_count == 0
    await profile.SetAttributes(level())
    mine, theirs, nobodys = await told(profile, "acme"), await told(profile, "globex"), await told(profile)
    (attribute,) = mine.attributes
    assert (attribute.name, attribute.number, attribute.data_class) == (
        "acme.vip_level",
        3,
        common.DATA_CLASS_TRANSACTION,
    )
    assert 0.99 < attribute.confidence <= 1
    assert [(len(one.attributes), one.withheld_count) for one in (mine, theirs, nobodys)] == [(1, 0), (0, 1), (0, 1)]


async def test_scan_tells_private_tags_of_the_advertisers_that_are_named(profile: "ProfileServiceAsyncStub") -> None:
    await profile.PutTags(put(vip()))
    await profile.SetAttributes(level())
    for advertiser_ids, count in ((["acme", "globex"], 1), (["globex"], 0), ([], 0)):
        request = pb.ScanProfilesRequest(purpose=common.PURPOSE_TARGETING, advertiser_ids=advertiser_ids)
        found = [one async for answer in profile.ScanProfiles(request) for one in answer.profiles]
        assert [len(one.attributes) for one in found] == [count]


async def test_unknown_private_attribute_is_refused_by_name(profile: "ProfileServiceAsyncStub") -> None:
    with pytest.raises(InvalidArgument) as caught:
        await profile.SetAttributes(level("acme.nothing"))
    assert caught.value.violations[0].field == "updates[0].attributes[0].name"


async def test_list_tells_each_advertiser_its_own_and_partners_the_platforms(
    start: Start, redis_url: str, profile: "ProfileServiceAsyncStub"
) -> None:
    await profile.PutTags(put(vip()))
    mine = await profile.ListTags(pb.ListTagsRequest(advertiser_id="acme"))
    assert mine.taxonomy_version == packaged_taxonomy().version
    assert mine.store_epoch
    assert mine.tags[-1] == vip(advertiser_id="acme")
    assert mine.tags[0].display_names == {"en": "Age range", "zh": "年龄段"}
    platform = [tag.name for tag in packaged_taxonomy().tags]
    theirs = await profile.ListTags(pb.ListTagsRequest(advertiser_id="globex"))
    assert [tag.name for tag in theirs.tags] == platform
    partner = await start(redis_url, Role.PARTNER)
    partners = await partner.ListTags(pb.ListTagsRequest(advertiser_id="acme"))
    assert ([tag.name for tag in partners.tags], partners.store_epoch) == (platform, "")
    with pytest.raises(PermissionDenied):
        await partner.PutTags(put(vip()))


async def test_what_may_not_change_is_named(profile: "ProfileServiceAsyncStub") -> None:
    await profile.PutTags(put(vip()))
    with pytest.raises(FailedPrecondition) as caught:
        await profile.PutTags(put(vip(type=pb.TAG_TYPE_FLAG)))
    assert caught.value.violations[0].field == "tags[0].type"


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        (
            pb.Tag(name="acme.a", data_class=common.DATA_CLASS_REGISTRATION, purposes=[common.PURPOSE_TARGETING]),
            "tags[0].type",
        ),
        (pb.Tag(name="acme.a", type=pb.TAG_TYPE_TEXT, purposes=[common.PURPOSE_TARGETING]), "tags[0].data_class"),
        (pb.Tag(name="acme.a", type=pb.TAG_TYPE_TEXT, data_class=common.DATA_CLASS_REGISTRATION), "tags[0].purposes"),
        (
            pb.Tag(
                name="acme.a",
                type=pb.TAG_TYPE_TEXT,
                data_class=common.DATA_CLASS_REGISTRATION,
                purposes=[common.PURPOSE_TARGETING],
                half_life_days=float("nan"),
            ),
            "tags[0].half_life_days",
        ),
        (
            pb.Tag(
                name="globex.a",
                type=pb.TAG_TYPE_TEXT,
                data_class=common.DATA_CLASS_REGISTRATION,
                purposes=[common.PURPOSE_TARGETING],
            ),
            "tags[0].name",
        ),
        (
            pb.Tag(
                name="acme.a",
                type=pb.TAG_TYPE_TEXT,
                data_class=common.DATA_CLASS_SOCIAL,
                purposes=[common.PURPOSE_TARGETING],
            ),
            "tags[0].data_class",
        ),
    ],
)
async def test_wrong_tag_is_refused_by_field(profile: "ProfileServiceAsyncStub", tag: pb.Tag, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await profile.PutTags(put(tag))
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_deleted_tag_is_told_no_more_and_starts_empty_when_it_is_declared_again(
    profile: "ProfileServiceAsyncStub",
) -> None:
    await profile.PutTags(put(vip()))
    await profile.SetAttributes(level())
    assert [one.name for one in (await told(profile, "acme")).attributes] == ["acme.vip_level"]
    request = pb.DeleteTagsRequest(advertiser_id="acme", tags=[pb.DeletedTag(name="acme.vip_level")])
    assert (await profile.DeleteTags(request)).deleted_count == 1
    assert (await profile.DeleteTags(request)).deleted_count == 0
    after = await told(profile, "acme")
    assert (list(after.attributes), after.withheld_count) == ([], 0)
    with pytest.raises(InvalidArgument):
        await profile.SetAttributes(level())
    listed = await profile.ListTags(pb.ListTagsRequest(advertiser_id="acme"))
    assert not [tag for tag in listed.tags if tag.advertiser_id]
    await profile.PutTags(put(vip()))
    assert not (await told(profile, "acme")).attributes
    (tag,) = [
        tag for tag in (await profile.ListTags(pb.ListTagsRequest(advertiser_id="acme"))).tags if tag.advertiser_id
    ]
    assert tag.life == 1
    await profile.SetAttributes(level())
    assert [(one.name, one.number) for one in (await told(profile, "acme")).attributes] == [("acme.vip_level", 3)]
    held = [
        record
        async for part in profile.ExportProfile(pb.ExportProfileRequest(person=person()))
        for record in part.records
    ]
    assert [(one.name, one.data_class, list(one.purposes)) for one in held] == [
        ("acme.vip_level", common.DATA_CLASS_TRANSACTION, [common.PURPOSE_TARGETING])
    ]
    assert held[0].expire_time.seconds - held[0].time.seconds == 30 * 86_400
