"""Ready-made audiences: a name and a brand stand for an expression that is known to work."""

from typing import Final, Literal

from bihuan_gateway.control.specs import AudienceSpec
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.profile_segments import relation_segment
from bihuan_shared.targeting import InSegment, canonical

Preset = Literal["reactivation"]

_STAGES: Final[dict[Preset, str]] = {"reactivation": "dormant"}
"""Whose relation to the brand is of this stage: those who dealt with it once and have gone quiet."""


def with_preset(spec: AudienceSpec, preset: Preset | None, brand: str | None) -> AudienceSpec:
    """
    The spec with the expression that a preset stands for; unchanged without one.

    Raises InvalidArgument where the two do not come together, where there is an expression already, and where the brand
    holds a character that no expression can name.
    """
    if preset is None:
        if brand is not None:
            raise InvalidArgument.of("/brand", "goes with a preset only")
        return spec
    if brand is None:
        raise InvalidArgument.of("/brand", "a preset needs a brand")
    if spec.expression:
        raise InvalidArgument.of("/preset", "exactly one of members, expression and preset is needed")
    if not brand.isprintable():
        raise InvalidArgument.of("/brand", "must be a text without control characters")
    return spec.model_copy(update={"expression": canonical(InSegment(relation_segment(_STAGES[preset], brand)))})
