"""What a decision may know about the person, and what becomes of it when a hop does not answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bihuan_gateway.data.domain.eligibility import PersonFacts
from bihuan_gateway.data.ports import NOBODY, Consent, Identifier, Identities, Profiles, ProfileView, Resolved, Scorer
from bihuan_shared.errors import BihuanError

T = TypeVar("T")
TARGETING = "TARGETING"
MEASUREMENT = "MEASUREMENT"


@dataclass(slots=True)
class Degraded:
    """Which hops did not answer, in the order in which that was noticed; each is counted once a decision."""

    count: Callable[[str], None]
    hops: list[str]

    async def attempt(self, hop: str, call: Awaitable[T]) -> T | None:
        """Return what a hop answers, None where it does not."""
        try:
            return await call
        except BihuanError:
            if hop not in self.hops:
                self.hops.append(hop)
                self.count(hop)
            return None


@dataclass(frozen=True, slots=True)
class PersonSource:
    """Finds the person of a request, and what targeting may know about that person."""

    identities: Identities
    profiles: Profiles
    scorer: Scorer

    async def person(self, identifiers: tuple[Identifier, ...], consent: Consent, degraded: Degraded) -> Resolved:
        """Return the person, created where there is none; nobody where none may be known or identity is away."""
        if not identifiers or not consent.purposes & {TARGETING, MEASUREMENT}:
            return NOBODY
        return await degraded.attempt("identity", self.identities.resolve(identifiers)) or NOBODY

    async def facts(
        self,
        person_id: int,
        consent: Consent,
        degraded: Degraded,
        *,
        audiences: bool,
        tag_owners: tuple[str, ...] = (),
    ) -> PersonFacts:
        """
        Read the profile and, where `audiences` asks for them, the memberships; nothing without TARGETING.

        `tag_owners` are advertisers whose private tags are asked for.
        """
        if not person_id or TARGETING not in consent.purposes:
            return PersonFacts()
        reading = degraded.attempt("profile", self.profiles.read(person_id, consent, tag_owners))
        if not audiences:
            return _contextual_without_profile(await reading, None)
        profile, memberships = await asyncio.gather(
            reading, degraded.attempt("audience", self.scorer.memberships(person_id))
        )
        return _contextual_without_profile(profile, memberships)


def _contextual_without_profile(profile: ProfileView | None, audiences: frozenset[str] | None) -> PersonFacts:
    return PersonFacts(profile, audiences) if profile is not None else PersonFacts()
