"""Profile over gRPC, as private tags need it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_gateway.control.tags import PlatformTag, PlatformTags, TagSet, TagSpec
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.errors import Unavailable

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub


@dataclass(frozen=True, slots=True)
class TagHop:
    """Implements `tag_relay.TagSink`."""

    stub: "ProfileServiceAsyncStub"

    async def store_epoch(self) -> str:
        """Name the life of profile's store."""
        with asked_by_us():
            answer = await self.stub.ListTags(profile_pb2.ListTagsRequest())
        if not answer.store_epoch:
            raise Unavailable("profile does not tell the life of its store")
        epoch: str = answer.store_epoch
        return epoch

    async def put_tags(self, tags: TagSet) -> None:
        """Hand over all tags of an advertiser, those that were deleted first."""
        owner, version, lives = tags.advertiser_id, tags.version, tags.lives
        with asked_by_us():
            if lives:
                ended = [profile_pb2.DeletedTag(name=name, lives=count) for name, count in lives.items()]
                await self.stub.DeleteTags(
                    profile_pb2.DeleteTagsRequest(advertiser_id=owner, version=version, tags=ended)
                )
            if tags.tags:
                made = [tag_message(tag, lives.get(tag.name, 0)) for tag in tags.tags]
                await self.stub.PutTags(profile_pb2.PutTagsRequest(advertiser_id=owner, version=version, tags=made))


def tag_message(tag: TagSpec, life: int = 0) -> profile_pb2.Tag:
    """Write a private tag for the wire."""
    return profile_pb2.Tag(
        name=tag.name,
        type=profile_pb2.TagType.Value(f"TAG_TYPE_{tag.type.upper()}"),
        data_class=common_pb2.DataClass.Value(f"DATA_CLASS_{tag.data_class.upper()}"),
        purposes=[common_pb2.Purpose.Value(f"PURPOSE_{purpose.upper()}") for purpose in tag.purposes],
        values=tag.values,
        description=tag.description,
        display_names=tag.display_names,
        retention_days=tag.retention_days,
        half_life_days=tag.half_life_days,
        iab_audience_id=tag.iab_audience_id or 0,
        life=life,
    )


def platform_tags(answer: profile_pb2.ListTagsResponse) -> PlatformTags:
    """Read the platform's taxonomy."""
    return PlatformTags(answer.taxonomy_version, tuple(_platform_tag(tag) for tag in answer.tags))


def _platform_tag(tag: profile_pb2.Tag) -> PlatformTag:
    return PlatformTag(
        name=tag.name,
        type=_word(profile_pb2.TagType.Name(tag.type), "TAG_TYPE_"),
        data_class=_word(common_pb2.DataClass.Name(tag.data_class), "DATA_CLASS_"),
        purposes=tuple(_word(common_pb2.Purpose.Name(purpose), "PURPOSE_") for purpose in tag.purposes),
        values=tuple(tag.values),
        description=tag.description,
        display_names=dict(tag.display_names),
        retention_days=tag.retention_days,
        half_life_days=tag.half_life_days,
        iab_audience_id=tag.iab_audience_id or None,
        derived=tag.derived,
    )


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
