"""Versions of the members of an audience, and how often they are made anew."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bihuan_shared.errors import InvalidArgument

KEPT_VERSIONS: Final = 20
"""Versions of an audience that are remembered."""
LEAST_INTERVAL_S: Final = 60
"""An audience of its own schedule is not built more often than this."""


class VersionCause(StrEnum):
    """Why members are others than before."""

    BUILT = "built"
    REFRESHED = "refreshed"
    LIST_CHANGED = "list_changed"
    PERSONS_CHANGED = "persons_changed"

    @property
    def is_building(self) -> bool:
        """Whether all members were found anew."""
        return self in {VersionCause.BUILT, VersionCause.REFRESHED}


@dataclass(frozen=True, slots=True)
class AudienceVersion:
    """Members as they were stored once: the number of the version, how many there were, since when, and why."""

    version: int
    size: int
    time_us: int
    cause: VersionCause


def require_interval(interval_s: int, *, scheduled: bool) -> None:
    """
    Refuse an interval that is neither 0 nor 60 seconds or more, and one of an audience that is not built anew.

    Raises InvalidArgument.
    """
    field = "audience.refresh_interval_s"
    if interval_s and interval_s < LEAST_INTERVAL_S:
        raise InvalidArgument.of(field, f"is 0 or at least {LEAST_INTERVAL_S}")
    if interval_s and not scheduled:
        raise InvalidArgument.of(field, "goes with an expression, a combination or brand behaviour only")


def due_us(built_us: int, asked_us: int, interval_us: int) -> int:
    """When an audience is to be built anew: one interval after it was built or asked for last, whether that worked."""
    return max(built_us, asked_us) + interval_us
