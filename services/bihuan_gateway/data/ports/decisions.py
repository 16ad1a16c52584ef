"""What is kept of decisions, and of what they showed."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A completed decision: the digest of the request that it answers, and the answer, byte for byte."""

    content_sha256: bytes
    answer: bytes


class Decisions(Protocol):
    """Completed decisions, by caller and request id."""

    async def find(self, scope: str, request_id: str) -> StoredDecision | None:
        """Return the decision that was stored under a request id; merged with other calls."""
        ...

    async def put(self, scope: str, request_id: str, decision: StoredDecision, now_us: int) -> StoredDecision:
        """Store a decision unless there is one, and return the one that stands; merged with other calls."""
        ...


class Landings(Protocol):
    """Creatives of every state: a click on an advertisement that was paused meanwhile still lands."""

    async def find(self, creative_id: str) -> tuple[str, tuple[str, ...]] | None:
        """Return landing URL and tags of a creative; None where there never was one."""
        ...


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A candidate of a decision, for training."""

    creative_id: str
    campaign_id: str
    advertiser_id: str
    tags: tuple[str, ...]
    pctr: float
    pcvr: float
    ecpm_micros: int


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What the lake keeps of one placement's decision; `person_id` 0 for nobody, `winner_creative_id` None for none."""

    decision_id: str
    request_time_us: int
    person_id: int
    profile: bytes
    placement_id: str
    channel: str
    traffic_source: str
    keywords: tuple[str, ...]
    candidates: tuple[CandidateRecord, ...]
    winner_creative_id: str | None
    propensity: float
    model_version: str


class DecisionRecords(Protocol):
    """The lake's dataset `decisions`."""

    def add(self, record: DecisionRecord) -> None:
        """Take a record; never waits, and counts what it has no room for."""
        ...
