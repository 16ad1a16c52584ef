"""Audiences: a named set of persons, how it was defined, and how far its building is."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, Self

from bihuan_scoring.domain.combination import Combination
from bihuan_scoring.domain.versions import AudienceVersion, VersionCause
from bihuan_shared.errors import InvalidArgument


class AudienceState(StrEnum):
    """How far an audience is."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class MemberSet(Protocol):
    """A mutable set of person ids that answers membership in constant time."""

    def __contains__(self, person_id: int) -> bool: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...

    def __and__(self, other: Self, /) -> Self: ...

    def __or__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...

    def copy(self) -> Self:
        """An independent copy."""
        ...

    def add(self, person_id: int) -> None:
        """Take a person in."""
        ...

    def discard(self, person_id: int) -> None:
        """Take a person out, if in."""
        ...

    def run_optimize(self) -> bool:
        """Take the smallest form; equal sets that did have equal portable forms."""
        ...

    def serialize(self) -> bytes:
        """The portable form."""
        ...


def changed_by(members: MemberSet, add: Sequence[int], remove: Sequence[int]) -> MemberSet:
    """The same set after some went out and others came in; whoever is named twice is in."""
    for person_id in remove:
        members.discard(person_id)
    for person_id in add:
        members.add(person_id)
    return members


def settle(members: MemberSet, absorbed: Mapping[int, int], erased: Iterable[int]) -> None:
    """Put survivors in place of absorbed persons (by their ids), and take every erased person out."""
    for person_id in absorbed:
        if person_id in members:
            members.discard(person_id)
            survivor_id = absorbed[person_id]
            while survivor_id in absorbed:
                survivor_id = absorbed[survivor_id]
            members.add(survivor_id)
    for person_id in erased:
        members.discard(person_id)


@dataclass(frozen=True, slots=True)
class LookAlikeOf:
    """
    Whom a look-alike audience resembles, and how large it is to be.

    With a `target_size` of 0 as many as keep `least_precision`. `cut_off_us` is when the seed had been drawn (0: not
    known).
    """

    seed_audience_id: str
    target_size: int = 0
    least_precision: float = 0.0
    cut_off_us: int = 0


@dataclass(frozen=True, slots=True)
class Audience:
    """
    An audience as it stands.

    `expression` is empty and `look_alike` None for a member list. `definition_sha256` is the content that a repeated
    creation must match. `revision` counts changes of the members, of which `version` is the last (None: not known);
    `progress` is in [0, 1]. `refresh_interval_s` is how often it is built anew (0: as the service is set), and
    `refresh_time_us` when that was (0: not known). A combination has its expression as well.
    """

    audience_id: str
    advertiser_id: str
    display_name: str
    expression: str
    definition_sha256: str
    state: AudienceState
    create_time_us: int
    size: int = 0
    revision: int = 0
    progress: float = 0.0
    failure: str = ""
    look_alike: LookAlikeOf | None = None
    combination: Combination | None = None
    refresh_interval_s: int = 0
    refresh_time_us: int = 0
    version: AudienceVersion | None = None

    @property
    def made_by_rule(self) -> bool:
        """True where the members can be found again; a list that is lost is lost."""
        return bool(self.expression) or self.look_alike is not None

    @property
    def members_name(self) -> str:
        """Name of the stored set of the current revision."""
        return f"{self.audience_id}.{self.revision}"

    def ready(self, size: int, cause: VersionCause, now_us: int) -> "Audience":
        """With so many members, as a new revision, and why."""
        built_us = now_us if cause.is_building and self.made_by_rule else self.refresh_time_us
        return replace(
            self,
            state=AudienceState.READY,
            size=size,
            revision=self.revision + 1,
            progress=1.0,
            failure="",
            refresh_time_us=built_us,
            version=AudienceVersion(self.revision + 1, size, now_us, cause),
        )

    def failed(self, failure: str) -> "Audience":
        """Given up, and why. One that was ready stays so, with the members that it had."""
        state = AudienceState.READY if self.state is AudienceState.READY else AudienceState.FAILED
        return replace(self, state=state, failure=failure)


@dataclass(frozen=True, slots=True)
class NewAudience:
    """What a caller asks for."""

    audience_id: str
    advertiser_id: str
    display_name: str
    create_time_us: int
    refresh_interval_s: int = 0

    def building(self, expression: str, digest: str) -> Audience:
        """The audience before it has members."""
        return Audience(
            audience_id=self.audience_id,
            advertiser_id=self.advertiser_id,
            display_name=self.display_name,
            expression=expression,
            definition_sha256=digest,
            state=AudienceState.BUILDING,
            create_time_us=self.create_time_us,
            refresh_interval_s=self.refresh_interval_s,
        )


MAX_PERSON_ID = 2**63 - 1


def require_persons(person_ids: Sequence[int], field: str) -> None:
    """Refuse what is no person id (InvalidArgument); `field` has a place for the index of the first one."""
    if min(person_ids, default=1) < 1 or max(person_ids, default=1) > MAX_PERSON_ID:
        index = next(k for k, each in enumerate(person_ids) if not 1 <= each <= MAX_PERSON_ID)
        raise InvalidArgument.of(field.format(index), "is not a person id")


def definition_sha256(advertiser_id: str, kind: str, content: bytes) -> str:
    """What a repeated creation must match: the owner and the definition, not the display name."""
    digest = hashlib.sha256()
    for part in (advertiser_id.encode(), kind.encode(), content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def estimated_progress(scanned: int, expected: int) -> float:
    """Share of persons seen, where `expected` is how many the scan before saw (0: unknown); below 1 until the end."""
    return min(0.99, scanned / max(expected, scanned + _UNKNOWN_REST if expected == 0 else expected))


_UNKNOWN_REST = 10_000
"""Persons taken to be left where nothing tells how many there are."""
