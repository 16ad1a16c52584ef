"""Between messages about tags and the domain."""

import math
from collections.abc import Iterable

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.taxonomy import Tag, TagType
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import FieldViolation, InvalidArgument

MAX_HALF_LIFE_DAYS = 3650


def tag_message(tag: Tag) -> profile_pb2.Tag:
    """The message of a tag."""
    return profile_pb2.Tag(
        name=tag.name,
        type=profile_pb2.TagType.ValueType(tag.type),
        data_class=common_pb2.DataClass.ValueType(tag.data_class),
        purposes=[common_pb2.Purpose.ValueType(purpose) for purpose in sorted(tag.purposes)],
        values=tag.values,
        description=tag.description,
        display_names=tag.display_names,
        retention_days=tag.retention_us // DAY_US,
        half_life_days=tag.half_life_us / DAY_US,
        iab_audience_id=tag.iab_audience_id,
        derived=tag.derived,
        advertiser_id=tag.advertiser_id,
        life=tag.life,
    )


def private_tags_of(request: profile_pb2.PutTagsRequest) -> list[Tag]:
    """The tags that an advertiser declares. Raises InvalidArgument naming what no tag can hold."""
    violations = list(_violations(request.tags))
    if violations:
        raise InvalidArgument(f"{violations[0].field}: {violations[0].description}", *violations)
    return [
        Tag(
            name=message.name,
            type=TagType(message.type),
            data_class=DataClass(message.data_class),
            purposes=frozenset(Purpose(number) for number in message.purposes if number),
            description=message.description,
            values=tuple(message.values),
            retention_us=message.retention_days * DAY_US,
            half_life_us=round(message.half_life_days * DAY_US),
            display_names=dict(message.display_names),
            iab_audience_id=message.iab_audience_id,
            derived=message.derived,
            advertiser_id=message.advertiser_id or request.advertiser_id,
            life=message.life,
        )
        for message in request.tags
    ]


def _violations(tags: Iterable[profile_pb2.Tag]) -> Iterable[FieldViolation]:
    for index, tag in enumerate(tags):
        if not tag.type:
            yield FieldViolation(f"tags[{index}].type", "is required")
        if not tag.data_class:
            yield FieldViolation(f"tags[{index}].data_class", "is required")
        if not (math.isfinite(tag.half_life_days) and 0 <= tag.half_life_days <= MAX_HALF_LIFE_DAYS):
            yield FieldViolation(f"tags[{index}].half_life_days", f"must be between 0 and {MAX_HALF_LIFE_DAYS}")
