"""Taking in behaviour, from callers and from attribution's streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bihuan_profile.domain.behaviour import Event, echo_of
from bihuan_profile.domain.governance import Consent, DataClass
from bihuan_profile.use_cases.ports import Backoff, Change, Journal, ProfileStore
from bihuan_profile.use_cases.taking import PERSON_ERASED, Outcome, Result, Taking
from bihuan_profile.use_cases.updating import update
from bihuan_shared.clock import DAY_US, MINUTE_US
from bihuan_shared.errors import Unavailable

__all__ = ["PERSON_ERASED", "Outcome", "Result", "Submission", "ingest_accepted", "ingest_events", "take_in"]

MAX_AHEAD_US: Final = 5 * MINUTE_US
RETENTION_US: Final = 400 * DAY_US
"""Behaviour older than this is not taken in; marks are kept longer, so that a repeat is always known."""

NO_CONSENT: Final = "NO_CONSENT"
TIME_OUT_OF_RANGE: Final = "TIME_OUT_OF_RANGE"
MAX_HOPS: Final = 32
"""Ids that an event is passed on to, one after the other, before its caller is asked to repeat it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """
    An event and the consent it was collected under.

    `shared_by` is the person who had shared what it is about, 0 where nobody had.
    """

    event: Event
    consent: Consent
    shared_by: int = 0

    @property
    def echo(self) -> Event | None:
        """What the sharer is told; None without the class SOCIAL in the consent, or where it is the same person."""
        if self.shared_by in (0, self.event.person_id) or DataClass.SOCIAL not in self.consent.data_classes:
            return None
        return echo_of(self.event, self.shared_by)


async def ingest_events(
    store: ProfileStore,
    backoff: Backoff,
    now_us: int,
    submissions: Sequence[Submission],
    journal: Journal | None = None,
) -> list[Result]:
    """
    Take in what callers report: one result a submission, in the same order.

    Rejected are events without any consented purpose, more than 5 minutes ahead or older than 400 days, and those of an
    erased person. Without a journal no profile can be made anew from them. Raises Unavailable and ResourceExhausted;
    repeating the call is safe.
    """
    results: list[Result | None] = [_refusal(submission, now_us) for submission in submissions]
    return await _filled(store, backoff, journal, submissions, results)


async def ingest_accepted(
    store: ProfileStore, backoff: Backoff, submissions: Sequence[Submission], journal: Journal | None = None
) -> list[Result]:
    """
    Take in what attribution has accepted. Its times were checked there, so only consent is checked here.

    One result a submission, in the same order. Raises Unavailable and ResourceExhausted; repeating the call is safe.
    """
    results: list[Result | None] = [_consent_refusal(submission) for submission in submissions]
    return await _filled(store, backoff, journal, submissions, results)


async def _filled(
    store: ProfileStore,
    backoff: Backoff,
    journal: Journal | None,
    submissions: Sequence[Submission],
    results: list[Result | None],
) -> list[Result]:
    """
    Results with those of the events that were not refused, which are taken in, then their echoes.

    Whoever was erased echoes no more. A repeated event echoes again, in case its echo was lost.
    """
    fresh = [index for index, result in enumerate(results) if result is None]
    taken = await take_in(store, backoff, journal, [submissions[index].event for index in fresh])
    for index, result in zip(fresh, taken, strict=True):
        results[index] = result
    done = [result for result in results if result is not None]
    pairs = zip(submissions, done, strict=True)
    echoes = [one.echo for one, result in pairs if result.outcome is not Outcome.REJECTED]
    await take_in(store, backoff, journal, [echo for echo in echoes if echo is not None])
    return done


def _refusal(submission: Submission, now_us: int) -> Result | None:
    time_us = submission.event.time_us
    if not now_us - RETENTION_US <= time_us <= now_us + MAX_AHEAD_US:
        return Result(Outcome.REJECTED, TIME_OUT_OF_RANGE)
    return _consent_refusal(submission)


def _consent_refusal(submission: Submission) -> Result | None:
    return None if submission.consent.purposes else Result(Outcome.REJECTED, NO_CONSENT)


async def take_in(
    store: ProfileStore,
    backoff: Backoff,
    journal: Journal | None,
    events: Sequence[Event],
    *,
    settled: bool = False,
) -> list[Result]:
    """
    Take in events that nothing speaks against: one result each, in the same order; without a journal unkept.

    Events that are `settled` are known to be their person's: no sighting and no former id is looked at.
    """
    taking = Taking(events, settled=settled)
    for _ in range(MAX_HOPS):
        if not taking.open:
            return taking.results
        await update(store, backoff, taking.asks(), taking.decide, partial(_keep, journal, taking))
        taking.go_on()
    raise Unavailable("persons are being merged; repeat the call")


async def _keep(journal: Journal | None, taking: Taking, _changes: Sequence[Change]) -> None:
    """Before anything is written, so that what was taken in is always in the journal."""
    new = taking.unkept()
    if journal is not None and new:
        await journal.write(new)
    taking.kept(new)
