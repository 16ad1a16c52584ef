"""Consented relations between persons."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bihuan_profile.domain.community import EDGE_RETENTION_US, Edge
from bihuan_profile.domain.governance import Consent, DataClass
from bihuan_profile.use_cases.ingesting import MAX_AHEAD_US, NO_CONSENT, TIME_OUT_OF_RANGE
from bihuan_profile.use_cases.knowing import read_now
from bihuan_profile.use_cases.ports import ProfileStore
from bihuan_profile.use_cases.taking import PERSON_ERASED, Outcome, Result

_ACCEPTED: Final = Result(Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Relating:
    """A relation, and what the person who tells it agreed to."""

    edge: Edge
    consent: Consent


class EdgeJournal(Protocol):
    """Keeps relations."""

    async def write(self, edges: Sequence[Edge]) -> None:
        """Keep relations, durably on return; one may be kept more than once. Raises Unavailable."""
        ...

    async def read(self, person_ids: Collection[int]) -> list[Edge]:
        """Relations with some id at either end, each once and by time; none of erased persons. Raises Unavailable."""
        ...


async def put_edges(
    store: ProfileStore, journal: EdgeJournal, now_us: int, relations: Sequence[Relating]
) -> list[Result]:
    """
    Take in relations: one result each, in the same order. The same one again changes nothing.

    Rejected are those without a purpose and the class SOCIAL in the consent, unless they take one back; those of an
    erased person, more than 5 minutes ahead or older than 180 days. Raises Unavailable and ResourceExhausted, after
    which repeating the call is safe.
    """
    ids = list(
        dict.fromkeys(one for relating in relations for one in (relating.edge.person_id, relating.edge.other_id))
    )
    erased = {one for one, held in zip(ids, await read_now(store, ids), strict=True) if held.erased}
    results = [_refusal(relating, now_us, erased) or _ACCEPTED for relating in relations]
    await journal.write([one.edge for one, result in zip(relations, results, strict=True) if result is _ACCEPTED])
    return results


def _refusal(relating: Relating, now_us: int, erased: set[int]) -> Result | None:
    edge, consent = relating.edge, relating.consent
    agreed = bool(consent.purposes) and DataClass.SOCIAL in consent.data_classes
    if edge.strength and not agreed:
        return Result(Outcome.REJECTED, NO_CONSENT)
    if not now_us - EDGE_RETENTION_US <= edge.time_us <= now_us + MAX_AHEAD_US:
        return Result(Outcome.REJECTED, TIME_OUT_OF_RANGE)
    if erased & {edge.person_id, edge.other_id}:
        return Result(Outcome.REJECTED, PERSON_ERASED)
    return None
