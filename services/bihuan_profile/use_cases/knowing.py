"""Facts that are told, reads, scans and erasure."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.governance import Consent, Purpose, permit_by_consent, permit_for_batch_work
from bihuan_profile.domain.record import Fact, with_facts
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.use_cases.ingesting import MAX_AHEAD_US, PERSON_ERASED
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, ProfileStore
from bihuan_profile.use_cases.updating import update
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument

SCAN_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Query:
    """A person to read, what for, and what the person agreed to."""

    person_id: int
    purpose: Purpose
    consent: Consent


@dataclass(frozen=True, slots=True)
class FactUpdate:
    """Facts of one person, by attribute name, in the order in which they were given."""

    person_id: int
    facts: tuple[tuple[str, Fact], ...]


async def get_profiles(
    store: ProfileStore, taxonomy: Taxonomy, now_us: int, queries: Sequence[Query]
) -> list[ProfileView]:
    """One view a query, in the same order; a person of whom nothing is known gets an empty one. Raises Unavailable."""
    held = await store.read([query.person_id for query in queries])
    return [
        release(one.record, permit_by_consent(query.purpose, query.consent), now_us, taxonomy)
        for query, one in zip(queries, held, strict=True)
    ]


async def scan_profiles(
    store: ProfileStore, taxonomy: Taxonomy, now_us: int, purpose: Purpose
) -> AsyncIterator[list[tuple[int, ProfileView]]]:
    """Everyone, in batches of at most 500, as `purpose` allows; the social class is never told. Raises Unavailable."""
    permit = permit_for_batch_work(purpose)
    async for batch in store.scan(SCAN_BATCH):
        yield [(person_id, release(record, permit, now_us, taxonomy)) for person_id, record in batch]


async def set_attributes(
    store: ProfileStore, backoff: Backoff, taxonomy: Taxonomy, now_us: int, updates: Sequence[FactUpdate]
) -> int:
    """
    Set facts; the number of attributes that have another value than before.

    Everything is checked before anything is written. Raises InvalidArgument naming each wrong attribute, and
    FailedPrecondition (PERSON_ERASED); Unavailable and ResourceExhausted, after which repeating the call is safe.
    """
    _check_facts(taxonomy, now_us, updates)
    facts: dict[int, list[tuple[str, Fact]]] = {}
    for update_ in updates:
        facts.setdefault(update_.person_id, []).extend(update_.facts)
    asks = [Ask(person_id) for person_id in facts]
    if any(held.erased for held in await store.read(list(facts))):
        raise _erased()
    changed: dict[int, int] = {}

    def decide(ask: Ask, answer: Answer) -> Change | None:
        if answer.held.erased:
            raise _erased()
        record, count = with_facts(answer.held.record, facts[ask.person_id])
        changed[ask.person_id] = count
        if record.facts == answer.held.record.facts:
            return None
        return Change(ask.person_id, answer.held.revision, record)

    await update(store, backoff, asks, decide)
    return sum(changed.values())


def _check_facts(taxonomy: Taxonomy, now_us: int, updates: Sequence[FactUpdate]) -> None:
    violations = []
    reason = None
    for i, update_ in enumerate(updates):
        for j, (name, fact) in enumerate(update_.facts):
            path = f"updates[{i}].attributes[{j}]"
            fault = taxonomy.fault(name, fact.value)
            if fault is not None:
                violations.append(FieldViolation(f"{path}.{fault[0]}", fault[1]))
            elif not 0 <= fact.time_us <= now_us + MAX_AHEAD_US:
                reason = "TIME_OUT_OF_RANGE"
                violations.append(FieldViolation(f"{path}.update_time", "must be after 1970 and not in the future"))
    if violations:
        only_time = all(violation.field.endswith(".update_time") for violation in violations)
        first = violations[0]
        raise InvalidArgument(f"{first.field}: {first.description}", *violations, reason=reason if only_time else None)


def _erased() -> FailedPrecondition:
    return FailedPrecondition("a person of this request was erased and may not come back", reason=PERSON_ERASED)


async def delete_profile(store: ProfileStore, backoff: Backoff, person_id: int) -> bool:
    """
    Erase a person, whether or not anything is known yet; True where something was.

    What stays is the note that the person was erased, which keeps late events out. Raises Unavailable and
    ResourceExhausted.
    """
    found = False

    def decide(ask: Ask, answer: Answer) -> Change | None:
        nonlocal found
        if answer.held.erased:
            return None
        found = answer.held.revision != 0
        return Change(ask.person_id, answer.held.revision, None)

    await update(store, backoff, [Ask(person_id)], decide)
    return found
