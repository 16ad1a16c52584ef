"""Packages of audiences in messages of scoring."""

from collections.abc import Iterator
from contextlib import contextmanager

from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.packages import (
    BrandBehaviourSpec,
    CombinationSpec,
    OverlapsView,
    OverlapView,
    SizeView,
    Standing,
    VersionView,
)
from bihuan_shared.clock import format_rfc3339, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument

_KINDS = {
    "existing": audience_pb2.BRAND_BEHAVIOUR_KIND_EXISTING,
    "potential": audience_pb2.BRAND_BEHAVIOUR_KIND_POTENTIAL,
    "interacted": audience_pb2.BRAND_BEHAVIOUR_KIND_INTERACTED,
    "fans_of_topic": audience_pb2.BRAND_BEHAVIOUR_KIND_FANS_OF_TOPIC,
    "fans_of_rival": audience_pb2.BRAND_BEHAVIOUR_KIND_FANS_OF_RIVAL,
}
_PREFIXES = ("definition.", "audience.")


def package_definition(spec: CombinationSpec | BrandBehaviourSpec) -> audience_pb2.AudienceDefinition:
    """What scoring is asked for."""
    if isinstance(spec, CombinationSpec):
        of = audience_pb2.Combination(all_of=spec.all_of, any_of=spec.any_of, none_of=spec.none_of)
        return audience_pb2.AudienceDefinition(combination=of)
    behaviour = audience_pb2.BrandBehaviour(
        kind=_KINDS[spec.kind],
        brand=spec.brand or "",
        within_days=spec.within_days or 0,
        topic=spec.topic or "",
        rival=spec.rival or "",
    )
    return audience_pb2.AudienceDefinition(brand_behaviour=behaviour)


@contextmanager
def named_as_asked() -> Iterator[None]:
    """Name the fields that scoring refuses of a package as the caller wrote them; around `asked_by_us`."""
    try:
        yield
    except InvalidArgument as error:
        cause = error.__cause__
        pointed = [
            FieldViolation(_pointer(one.field.removeprefix(prefix)), one.description)
            for one in (cause.violations if isinstance(cause, InvalidArgument) else ())
            for prefix in _PREFIXES
            if one.field.startswith((f"{prefix}combination", f"{prefix}brand_behaviour", f"{prefix}refresh_interval_s"))
        ]
        raise InvalidArgument(error.detail, *pointed, reason=error.reason) from error


def _pointer(field: str) -> str:
    return "/" + field.replace(".", "/").replace("[", "/").replace("]", "")


def standing_of(audience: audience_pb2.Audience, answer: audience_pb2.GetAudienceResponse | None = None) -> Standing:
    """How the members came to be; with the history where the answer has it."""
    return Standing(
        expression=audience.expression,
        version=audience.version,
        refresh_time=format_rfc3339(to_us(audience.refresh_time)) if audience.HasField("refresh_time") else None,
        history=tuple(_version(one) for one in answer.history) if answer is not None else (),
    )


def _version(one: audience_pb2.AudienceVersion) -> VersionView:
    return VersionView(
        version=one.version,
        size=one.told_size,
        below_floor=one.below_floor,
        version_time=format_rfc3339(to_us(one.version_time)) if one.HasField("version_time") else None,
        cause=audience_pb2.AudienceVersionCause.Name(one.cause).removeprefix("AUDIENCE_VERSION_CAUSE_").lower(),
    )


def overlaps_view(answer: audience_pb2.CompareAudiencesResponse) -> OverlapsView:
    """What audiences have in common."""
    return OverlapsView(
        audiences=tuple(
            SizeView(id=one.audience_id, size=one.size, below_floor=one.below_floor) for one in answer.sizes
        ),
        overlaps=tuple(
            OverlapView(
                id=one.audience_id,
                other_id=one.other_audience_id,
                intersection=one.intersection,
                jaccard=one.jaccard,
                below_floor=one.below_floor,
            )
            for one in answer.overlaps
        ),
    )
