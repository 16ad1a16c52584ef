"""Behaviour, attributes and links from callers' servers."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bihuan_gateway.data.ports import (
    Behaviour,
    Consent,
    Fact,
    Identifier,
    Identities,
    IngestOutcome,
    Link,
    Profiles,
)
from bihuan_shared.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
)

LINKS_AT_ONCE = 32
NO_CONSENT = "NO_CONSENT"


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """A behaviour event whose person is named by identifiers; `behaviour.person` is nobody until they are resolved."""

    identifiers: tuple[Identifier, ...]
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class ReportedFacts:
    """Facts about the person whom identifiers name."""

    identifiers: tuple[Identifier, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class LinkResult:
    """What became of a link: `accepted` with the id of its evidence, `conflict`, or `rejected` with a reason."""

    outcome: str
    evidence_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes in what callers' servers report."""

    identities: Identities
    profiles: Profiles
    count: Callable[[str, int], None]

    async def events(self, events: Sequence[ReportedEvent]) -> list[tuple[IngestOutcome, str]]:
        """
        Take in up to 1,000 events; one outcome and reason an event, in order.

        An event without any consented purpose is rejected here: not even a person is created for it. Raises
        Unavailable where identity or profile do not answer; all of it may be sent again.
        """
        results: list[tuple[IngestOutcome, str]] = [(IngestOutcome.REJECTED, NO_CONSENT)] * len(events)
        kept = [place for place, event in enumerate(events) if event.behaviour.consent.purposes]
        if kept:
            persons = await self.identities.resolve_many([events[place].identifiers for place in kept])
            behaviours = [
                replace(events[place].behaviour, person=person) for place, person in zip(kept, persons, strict=True)
            ]
            for place, result in zip(kept, await self.profiles.ingest(behaviours), strict=True):
                results[place] = result
        for outcome in IngestOutcome:
            self.count(outcome.value, sum(1 for result in results if result[0] is outcome))
        return results

    async def facts(self, updates: Sequence[ReportedFacts]) -> int:
        """
        Set attributes, all or none, and return how many changed.

        Raises InvalidArgument with a pointer to each attribute that the taxonomy does not know.
        """
        if not updates:
            return 0
        persons = await self.identities.resolve_many([update.identifiers for update in updates])
        with _as_the_callers():
            return await self.profiles.set_attributes(
                [(person, update.facts) for person, update in zip(persons, updates, strict=True)]
            )

    async def check_facts(self, updates: Sequence[ReportedFacts]) -> None:
        """Raise InvalidArgument, with pointers, where `facts` would by the taxonomy; nobody is looked for."""
        if updates:
            with _as_the_callers():
                await self.profiles.check_attributes([update.facts for update in updates])

    async def links(self, links: Sequence[Link]) -> list[LinkResult]:
        """Take in links, one result each; Unavailable where identity does not answer."""
        places = asyncio.Semaphore(LINKS_AT_ONCE)

        async def one(link: Link) -> LinkResult:
            async with places:
                try:
                    return LinkResult("accepted", evidence_id=await self.identities.link(link))
                except AlreadyExists as error:
                    return LinkResult("conflict", reason=error.reason)
                except (InvalidArgument, FailedPrecondition) as error:
                    return LinkResult("rejected", reason=error.reason)

        return list(await asyncio.gather(*(one(link) for link in links)))


@contextmanager
def _as_the_callers() -> Iterator[None]:
    """Have what profile says of an attribute be about the caller's, and what it says of us be our own fault."""
    try:
        yield
    except InvalidArgument as error:
        violations = [
            FieldViolation(violation.field.replace("updates[", "attributes[", 1), violation.description)
            for violation in error.violations
        ]
        raise InvalidArgument(error.detail, *violations, reason=error.reason) from error
    except (Unauthenticated, PermissionDenied) as error:
        raise Internal("a service refused the gateway") from error


def consent_of(purposes: Sequence[str], data_classes: Sequence[str], source: str) -> Consent:
    """Form a consent of names in upper or lower case."""
    return Consent(
        purposes=frozenset(name.upper() for name in purposes),
        data_classes=frozenset(name.upper() for name in data_classes),
        source=source,
    )
