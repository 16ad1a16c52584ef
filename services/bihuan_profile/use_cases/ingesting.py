"""Taking in behaviour, from callers and from attribution's streams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.governance import Consent
from bihuan_profile.domain.marks import Mark, mark_of
from bihuan_profile.domain.record import fold
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, ProfileStore
from bihuan_profile.use_cases.updating import update
from bihuan_shared.clock import DAY_US, MINUTE_US

MAX_AHEAD_US: Final = 5 * MINUTE_US
RETENTION_US: Final = 400 * DAY_US
"""Behaviour older than this is not taken in; marks are kept longer, so that a repeat is always known."""

NO_CONSENT: Final = "NO_CONSENT"
TIME_OUT_OF_RANGE: Final = "TIME_OUT_OF_RANGE"
PERSON_ERASED: Final = "PERSON_ERASED"


class Outcome(IntEnum):
    """What became of an event; the numbers are those of `bihuan.profile.v1`."""

    ACCEPTED = 1
    DUPLICATE = 2
    REJECTED = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an event, and why it was rejected."""

    outcome: Outcome
    reason: str = ""


_ACCEPTED: Final = Result(Outcome.ACCEPTED)
_DUPLICATE: Final = Result(Outcome.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Submission:
    """An event and the consent it was collected under."""

    event: Event
    consent: Consent


async def ingest_events(
    store: ProfileStore, backoff: Backoff, now_us: int, submissions: Sequence[Submission]
) -> list[Result]:
    """
    Take in what callers report: one result a submission, in the same order.

    Rejected are events without any consented purpose, more than 5 minutes ahead or older than 400 days, and those of an
    erased person. Raises Unavailable and ResourceExhausted; repeating the call is safe.
    """
    results: list[Result | None] = [_refusal(submission, now_us) for submission in submissions]
    fresh = [index for index, result in enumerate(results) if result is None]
    taken = await _take_in(store, backoff, [submissions[index].event for index in fresh])
    for index, result in zip(fresh, taken, strict=True):
        results[index] = result
    return [result for result in results if result is not None]


async def ingest_accepted(store: ProfileStore, backoff: Backoff, submissions: Sequence[Submission]) -> list[Result]:
    """
    Take in what attribution has accepted. Its times were checked there, so only consent is checked here.

    One result a submission, in the same order. Raises Unavailable and ResourceExhausted; repeating the call is safe.
    """
    results: list[Result | None] = [_consent_refusal(submission) for submission in submissions]
    fresh = [index for index, result in enumerate(results) if result is None]
    taken = await _take_in(store, backoff, [submissions[index].event for index in fresh])
    for index, result in zip(fresh, taken, strict=True):
        results[index] = result
    return [result for result in results if result is not None]


def _refusal(submission: Submission, now_us: int) -> Result | None:
    time_us = submission.event.time_us
    if not now_us - RETENTION_US <= time_us <= now_us + MAX_AHEAD_US:
        return Result(Outcome.REJECTED, TIME_OUT_OF_RANGE)
    return _consent_refusal(submission)


def _consent_refusal(submission: Submission) -> Result | None:
    return None if submission.consent.purposes else Result(Outcome.REJECTED, NO_CONSENT)


async def _take_in(store: ProfileStore, backoff: Backoff, events: Sequence[Event]) -> list[Result]:
    by_person: dict[int, list[int]] = {}
    for index, event in enumerate(events):
        by_person.setdefault(event.person_id, []).append(index)
    marks = [mark_of(event) for event in events]
    results = [_DUPLICATE] * len(events)
    asks = [Ask(person_id, tuple(marks[i] for i in indices)) for person_id, indices in by_person.items()]

    def decide(ask: Ask, answer: Answer) -> Change | None:
        indices = by_person[ask.person_id]
        if answer.held.erased:
            _note(results, indices, Result(Outcome.REJECTED, PERSON_ERASED))
            return None
        new = _unseen(indices, ask.marks, answer.seen)
        _note(results, indices, _DUPLICATE)
        _note(results, new, _ACCEPTED)
        if not new:
            return None
        record = fold(answer.held.record, [events[i] for i in new])
        return Change(ask.person_id, answer.held.revision, record, tuple(marks[i] for i in new))

    if asks:
        await update(store, backoff, asks, decide)
    return results


def _unseen(indices: Sequence[int], marks: Sequence[Mark], seen: Sequence[bool]) -> list[int]:
    first: dict[Mark, int] = {}
    for index, mark, known in zip(indices, marks, seen, strict=True):
        if not known:
            first.setdefault(mark, index)
    return list(first.values())


def _note(results: list[Result], indices: Iterable[int], result: Result) -> None:
    for index in indices:
        results[index] = result
