"""Late findings of invalid traffic, as the gateway takes them in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.control.access import Principal, require_admin


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """An event that turned out to be invalid traffic: `impression`, `viewable` or `click`, and its id."""

    event_type: str
    event_id: str


@dataclass(frozen=True, slots=True)
class FindingOutcome:
    """What a finding did; the counts sum up to its events, `credited_nanos` is by currency."""

    credited_count: int
    unchanged_count: int
    unknown_count: int
    credited_nanos: dict[str, int]


class FindingSink(Protocol):
    """Attribution, as it credits findings."""

    async def report(self, finding_id: str, reason: str, events: Sequence[InvalidEvent]) -> FindingOutcome:
        """Credit charged events once; the same id with another body is AlreadyExists."""
        ...


@dataclass(frozen=True, slots=True)
class FindingDesk:
    """Reports findings on behalf of a caller."""

    sink: FindingSink

    async def report(
        self, principal: Principal, finding_id: str, reason: str, events: Sequence[InvalidEvent]
    ) -> FindingOutcome:
        """Report a finding (admins; AlreadyExists where the id came with another body)."""
        require_admin(principal)
        return await self.sink.report(finding_id, reason, events)
