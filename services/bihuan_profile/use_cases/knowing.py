"""Facts that are told, and reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bihuan_profile.domain.governance import Consent, Purpose, permit_by_consent
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import Fact, with_facts
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.domain.told import ToldFact
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.use_cases.ingesting import MAX_AHEAD_US, MAX_HOPS, PERSON_ERASED
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, Held, Journal, ProfileStore
from bihuan_profile.use_cases.updating import update
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, Unavailable

NO_ADVERTISERS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Query:
    """A person to read, what for, what the person agreed to, and on whose behalf: whose private tags may be told."""

    person_id: int
    purpose: Purpose
    consent: Consent
    advertiser_ids: frozenset[str] = NO_ADVERTISERS


@dataclass(frozen=True, slots=True)
class FactUpdate:
    """Facts of one person, by attribute name, in the order in which they were given."""

    person_id: int
    facts: tuple[tuple[str, Fact], ...]
    sighting_id: int = 0


async def get_profiles(
    store: ProfileStore,
    taxonomy: Taxonomy,
    now_us: int,
    queries: Sequence[Query],
    population: Population | None = None,
) -> Iterator[ProfileView]:
    """
    One view a query, in the same order; a person of whom nothing is known gets an empty one.

    Each is made when it is taken, so that a large batch never holds all of them. `taxonomy` must know the private tags
    of the advertisers of all queries. Raises Unavailable.
    """
    held = await read_now(store, [query.person_id for query in queries])
    return (
        release(
            one.record,
            permit_by_consent(query.purpose, query.consent, query.advertiser_ids),
            now_us,
            taxonomy,
            population,
        )
        for query, one in zip(queries, held, strict=True)
    )


async def living(store: ProfileStore, person_id: int) -> tuple[int, Held]:
    """The id that a person lives on under, and what is held there. Raises Unavailable."""
    for _ in range(MAX_HOPS):
        (held,) = await store.read([person_id])
        if not held.moved_to:
            return person_id, held
        person_id = held.moved_to
    raise Unavailable("persons are being merged; repeat the call")


async def read_now(store: ProfileStore, person_ids: Sequence[int]) -> list[Held]:
    """What is held about each person under the id that it lives on, in the same order."""
    held = await store.read(person_ids)
    for _ in range(MAX_HOPS):
        moved = [index for index, one in enumerate(held) if one.moved_to]
        if not moved:
            return held
        for index, one in zip(moved, await store.read([held[index].moved_to for index in moved]), strict=True):
            held[index] = one
    raise Unavailable("persons are being merged; repeat the call")


async def set_attributes(
    store: ProfileStore,
    backoff: Backoff,
    taxonomy: Taxonomy,
    now_us: int,
    updates: Sequence[FactUpdate],
    journal: Journal | None = None,
) -> int:
    """
    Set facts; the number of attributes that have another value than before.

    Everything is checked before anything is written. Without a journal no profile can be made anew from them. Raises
    InvalidArgument naming each wrong attribute, and
    FailedPrecondition (PERSON_ERASED); Unavailable and ResourceExhausted, after which repeating the call is safe.
    """
    check_facts(taxonomy, now_us, updates)
    facts = await _by_person(store, [_stored(taxonomy, one) for one in updates])
    asks = [Ask(person_id) for person_id in facts]
    changed: dict[int, int] = {}

    def decide(ask: Ask, answer: Answer) -> Change | None:
        if answer.held.erased:
            raise _erased()
        if answer.held.moved_to:
            raise Unavailable("persons are being merged; repeat the call")
        record, count = with_facts(answer.held.record, facts[ask.person_id])
        changed[ask.person_id] = count
        if record.facts == answer.held.record.facts:
            return None
        return Change(ask.person_id, answer.held.revision, record)

    async def keep(changes: Sequence[Change]) -> None:
        told = [one for change in changes for one in _winning(change, facts[change.person_id], now_us)]
        if journal is not None and told:
            await journal.write_facts(told)

    await update(store, backoff, asks, decide, keep)
    return sum(changed.values())


def _winning(change: Change, facts: Sequence[tuple[str, Fact]], now_us: int) -> Iterator[ToldFact]:
    """Of the facts of a person those that will hold."""
    assert change.record is not None, "facts erase nobody"
    for name, fact in facts:
        if change.record.facts[name] is fact:
            yield ToldFact(change.person_id, name, fact, now_us)


async def _by_person(store: ProfileStore, updates: Sequence[FactUpdate]) -> dict[int, list[tuple[str, Fact]]]:
    """Facts by the persons that theirs are now; FailedPrecondition where one was erased."""
    targets = [update_.person_id for update_ in updates]
    visited: list[set[int]] = [{target} for target in targets]
    moving = list(range(len(updates)))
    for _ in range(MAX_HOPS):
        held = await store.read([targets[index] for index in moving])
        if any(one.erased for one in held):
            raise _erased()
        going: list[int] = []
        for index, one in zip(moving, held, strict=True):
            elsewhere = one.record.moved_sightings.get(updates[index].sighting_id, 0)
            target = one.moved_to or (elsewhere if elsewhere not in visited[index] else 0)
            if target:
                targets[index] = target
                visited[index].add(target)
                going.append(index)
        moving = going
        if not moving:
            break
    else:
        raise Unavailable("persons are being merged; repeat the call")
    facts: dict[int, list[tuple[str, Fact]]] = {}
    for target, update_ in zip(targets, updates, strict=True):
        facts.setdefault(target, []).extend(update_.facts)
    return facts


def _stored(taxonomy: Taxonomy, update_: FactUpdate) -> FactUpdate:
    """The update under the names that records hold values under."""
    tags = [(taxonomy.get(name), fact) for name, fact in update_.facts]
    return replace(update_, facts=tuple((tag.stored_name, fact) for tag, fact in tags if tag is not None))


def check_facts(taxonomy: Taxonomy, now_us: int, updates: Sequence[FactUpdate]) -> None:
    """Raise InvalidArgument naming each attribute that may not be set, whoever the persons are."""
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
            elif _is_too_old(taxonomy, now_us, name, fact):
                reason = "TIME_OUT_OF_RANGE"
                violations.append(FieldViolation(f"{path}.update_time", "is longer ago than this attribute is kept"))
    if violations:
        only_time = all(violation.field.endswith(".update_time") for violation in violations)
        first = violations[0]
        raise InvalidArgument(f"{first.field}: {first.description}", *violations, reason=reason if only_time else None)


def _is_too_old(taxonomy: Taxonomy, now_us: int, name: str, fact: Fact) -> bool:
    tag = taxonomy.get(name)
    return tag is not None and bool(tag.retention_us) and now_us - fact.time_us > tag.retention_us


def _erased() -> FailedPrecondition:
    return FailedPrecondition("a person of this request was erased and may not come back", reason=PERSON_ERASED)
