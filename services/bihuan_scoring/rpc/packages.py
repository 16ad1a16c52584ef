"""Definitions, versions and overlaps of audiences, on the wire."""

from collections.abc import Sequence

from bihuan.scoring.v1 import audience_pb2
from bihuan_scoring.domain.audiences import Audience, NewAudience
from bihuan_scoring.domain.brand_behaviour import BehaviourKind, BrandBehaviour
from bihuan_scoring.domain.combination import Combination
from bihuan_scoring.domain.overlap import Overlaps
from bihuan_scoring.domain.versions import AudienceVersion, VersionCause
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.combining import create_combination
from bihuan_shared.clock import to_timestamp
from bihuan_shared.errors import InvalidArgument

_KINDS = {
    audience_pb2.BRAND_BEHAVIOUR_KIND_EXISTING: BehaviourKind.EXISTING,
    audience_pb2.BRAND_BEHAVIOUR_KIND_POTENTIAL: BehaviourKind.POTENTIAL,
    audience_pb2.BRAND_BEHAVIOUR_KIND_INTERACTED: BehaviourKind.INTERACTED,
    audience_pb2.BRAND_BEHAVIOUR_KIND_FANS_OF_TOPIC: BehaviourKind.FANS_OF_TOPIC,
    audience_pb2.BRAND_BEHAVIOUR_KIND_FANS_OF_RIVAL: BehaviourKind.FANS_OF_RIVAL,
}
_CAUSES = {
    VersionCause.BUILT: audience_pb2.AUDIENCE_VERSION_CAUSE_BUILT,
    VersionCause.REFRESHED: audience_pb2.AUDIENCE_VERSION_CAUSE_REFRESHED,
    VersionCause.LIST_CHANGED: audience_pb2.AUDIENCE_VERSION_CAUSE_LIST_CHANGED,
    VersionCause.PERSONS_CHANGED: audience_pb2.AUDIENCE_VERSION_CAUSE_PERSONS_CHANGED,
}


async def create_combined(audiences: Audiences, new: NewAudience, asked: audience_pb2.Combination) -> Audience:
    """An audience of set algebra; errors as in `create_combination`."""
    of = Combination(tuple(asked.all_of), tuple(asked.any_of), tuple(asked.none_of))
    return await create_combination(audiences, new, of)


async def create_of_brand(audiences: Audiences, new: NewAudience, asked: audience_pb2.BrandBehaviour) -> Audience:
    """An audience of what brand behaviour stands for; InvalidArgument names the field that does not fit."""
    kind = _KINDS.get(asked.kind)
    if kind is None:
        raise InvalidArgument.of("definition.brand_behaviour.kind", "is not known")
    behaviour = BrandBehaviour(kind, asked.brand, asked.within_days, asked.topic, asked.rival)
    return await audiences.create_from_expression(new, behaviour.expression(), repr(behaviour))


def add_version(message: audience_pb2.Audience, audience: Audience) -> None:
    """Put version and schedule into the message of an audience."""
    message.version = audience.revision
    message.refresh_interval_s = audience.refresh_interval_s
    if audience.refresh_time_us:
        message.refresh_time.CopyFrom(to_timestamp(audience.refresh_time_us))


def version_message(version: AudienceVersion, told: int | None) -> audience_pb2.AudienceVersion:
    """One version, of which `told` persons may be told (None: too few)."""
    message = audience_pb2.AudienceVersion(
        version=version.version,
        size=version.size,
        cause=_CAUSES[version.cause],
        told_size=told or 0,
        below_floor=told is None,
    )
    if version.time_us:
        message.version_time.CopyFrom(to_timestamp(version.time_us))
    return message


def require_each_once(audience_ids: Sequence[str]) -> None:
    """Refuse an id that comes twice (InvalidArgument)."""
    for index, audience_id in enumerate(audience_ids):
        if audience_id in audience_ids[:index]:
            raise InvalidArgument.of(f"audience_ids[{index}]", "is named twice")


def overlaps_message(found: Overlaps) -> audience_pb2.CompareAudiencesResponse:
    """The whole answer."""
    return audience_pb2.CompareAudiencesResponse(
        sizes=[
            audience_pb2.ToldSize(audience_id=name, size=size or 0, below_floor=size is None)
            for name, size in found.sizes
        ],
        overlaps=[
            audience_pb2.AudienceOverlap(
                audience_id=pair.audience_id,
                other_audience_id=pair.other_id,
                intersection=pair.shared or 0,
                jaccard=pair.jaccard,
                below_floor=pair.shared is None,
            )
            for pair in found.pairs
        ],
    )
