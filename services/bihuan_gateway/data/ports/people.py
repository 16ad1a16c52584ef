"""Persons: who they are, and what is known about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Value = str | float | bool


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of a person; raw, so it is never logged."""

    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    The person behind identifiers, and the handle of the one that led there; both 0 where nobody may be known.

    The handle is kept beside the person wherever an event is stored, so that the event follows it on a split.
    """

    person_id: int = 0
    sighting_id: int = 0


NOBODY = Resolved()


@dataclass(frozen=True, slots=True)
class Consent:
    """What the person agreed to: names of purposes and data classes in upper case."""

    purposes: frozenset[str] = frozenset()
    data_classes: frozenset[str] = frozenset()
    source: str = ""


class ProfileView(Protocol):
    """A profile as it was released; absent facts are None, absent interests 0."""

    def attribute(self, name: str) -> Value | None:
        """Return the value of an attribute."""
        ...

    def interest(self, tag: str) -> float:
        """Return the long-term interest in a tag."""
        ...

    def instant_interest(self, tag: str) -> float:
        """Return the interest in a tag that the last minutes show."""
        ...

    def in_segment(self, segment_id: str) -> bool:
        """Tell whether the person is in a rule-made segment."""
        ...

    def record(self) -> bytes:
        """Return the serialized `bihuan.profile.v1.Profile` as it was served."""
        ...


class Identities(Protocol):
    """Identity, as the gateway uses it."""

    async def resolve(self, identifiers: tuple[Identifier, ...]) -> Resolved:
        """Return the person behind one set of identifiers, created where there is none; merged with other calls."""
        ...

    async def resolve_many(self, items: Sequence[tuple[Identifier, ...]]) -> list[Resolved]:
        """Return the persons behind up to 1,000 sets, in order, created where there are none."""
        ...

    async def link(self, link: "Link") -> str:
        """Take in a link and return the id of its evidence; AlreadyExists for another body under its request id."""
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """Identifiers of one person, and why. `confidence` 0 stands for absent, `observe_time_us` None for now."""

    request_id: str
    identifiers: tuple[Identifier, ...]
    kind: str
    source: str
    confidence: float
    observe_time_us: int | None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something that a person did; `name` in upper case; `amount` is currency and micros."""

    event_id: str
    person: Resolved
    name: str
    event_time_us: int | None
    tags: tuple[str, ...]
    amount: tuple[str, int] | None
    consent: Consent


class IngestOutcome(StrEnum):
    """What became of a behaviour event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Fact:
    """An attribute to set; `update_time_us` None means now."""

    name: str
    value: Value
    update_time_us: int | None


class Profiles(Protocol):
    """Profile, as the gateway uses it."""

    async def read(self, person_id: int, consent: Consent, advertiser_ids: tuple[str, ...]) -> ProfileView:
        """
        Return what TARGETING may know about a person; merged with other calls.

        Private tags are told of these advertisers. Attributes of the view have them, its record has not.
        """
        ...

    async def ingest(self, events: Sequence[Behaviour]) -> list[tuple[IngestOutcome, str]]:
        """Take in up to 1,000 events; one outcome and reason an event, in order."""
        ...

    async def check_attributes(self, updates: Sequence[Sequence[Fact]]) -> None:
        """Raise InvalidArgument where attributes of up to 1,000 persons, whoever they are, would be refused."""
        ...

    async def set_attributes(self, updates: Sequence[tuple[Resolved, Sequence[Fact]]]) -> int:
        """Set attributes of up to 1,000 persons, all or none, and return how many changed."""
        ...
