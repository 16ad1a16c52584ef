"""
The segments that expressions can name with `segment("...")`, from a profile as it is served.

Beside the rule-made ones that the profile lists, each relation makes two: `relation:<stage>:<brand>`, with the stage
potential, weak, strong, long or dormant, and `aipl:<stage>:<brand>`, with aware, interested, purchased or loyal. They
are not listed again on the wire, where a profile of ten brands would grow by half.
"""

from typing import Final

from bihuan.profile.v1 import profile_pb2

_RELATIONS: Final = {
    number: name.removeprefix("RELATION_STAGE_").lower() for name, number in profile_pb2.RelationStage.items() if number
}
_AIPL: Final = {
    number: name.removeprefix("AIPL_STAGE_").lower() for name, number in profile_pb2.AiplStage.items() if number
}


def segments_of(profile: profile_pb2.Profile) -> frozenset[str]:
    """Every segment that the person is in; a stage that this version does not know makes none."""
    named = set(profile.segments)
    for one in profile.relations:
        if one.stage in _RELATIONS:
            named.add(relation_segment(_RELATIONS[one.stage], one.brand))
        if one.aipl in _AIPL:
            named.add(aipl_segment(_AIPL[one.aipl], one.brand))
    return frozenset(named)


def relation_segment(stage: str, brand: str) -> str:
    """The name of the segment of those whose relation to a brand has this stage."""
    return f"relation:{stage}:{brand}"


def aipl_segment(stage: str, brand: str) -> str:
    """The name of the segment of those who have come so far with a brand."""
    return f"aipl:{stage}:{brand}"
