"""How many persons expressions and audiences reach, as that may be told to whoever is no part of the platform."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_scoring.domain.audiences import Audience, MemberSet
from bihuan_scoring.domain.overlap import Overlaps, overlaps
from bihuan_scoring.domain.reach import ReachNoise
from bihuan_scoring.domain.versions import AudienceVersion
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.finding import Finder, reached
from bihuan_scoring.use_cases.ports import Profiles
from bihuan_shared.targeting import Expression, InAudience, meaning, parse


@dataclass(frozen=True, slots=True)
class Told:
    """About how many; 0 and `below_floor` where there are too few to be told."""

    count: int
    below_floor: bool


class Teller:
    """Asks, and puts the noise on."""

    def __init__(self, audiences: Audiences, profiles: Profiles, finder: Finder, noise: ReachNoise) -> None:
        self._audiences = audiences
        self._profiles = profiles
        self._finder = finder
        self._noise = noise

    async def reach(self, advertiser_id: str, text: str) -> Told:
        """
        How many persons fit an expression of an advertiser now.

        Errors as in `finding.reached`.
        """
        found = await reached(self._audiences, self._profiles, self._finder, advertiser_id, text)
        return await self._tell(found, parse(text))

    async def size(self, audience: Audience) -> Told:
        """How many persons are in an audience; of one that was never built 0, and not below the floor."""
        members = self._audiences.members(audience.audience_id)
        if members is None:
            return Told(0, below_floor=False)
        return await self._tell(members, _asked(audience))

    def version(self, audience: Audience, version: AudienceVersion) -> int | None:
        """
        About how many were in an audience once; None below the floor.

        Its members are not known any more, so that equal sizes of one audience are told the same.
        """
        digest = hashlib.sha256(b"version\0" + version.size.to_bytes(8, "big")).digest()
        return self._noise.told(version.size, digest, meaning(_asked(audience)))

    async def overlaps(self, advertiser_id: str, audience_ids: Sequence[str]) -> Overlaps:
        """
        How much audiences of an advertiser overlap, sizes as `size` tells them.

        Errors as in `Audiences.owned_sets`.
        """
        members = await self._audiences.owned_sets(audience_ids, advertiser_id)
        questions = {name: _asked(await self._audiences.owned(name, advertiser_id)) for name in audience_ids}

        def tell(found: MemberSet, asked: Expression) -> int | None:
            question = questions[asked.audience_id] if isinstance(asked, InAudience) else asked
            return self.tell(found, question)

        return await asyncio.to_thread(overlaps, members, tell)

    def tell(self, members: MemberSet, asked: Expression) -> int | None:
        """
        About how many are in a set that answers an expression; None below the floor.

        Blocks, since the whole set is hashed.
        """
        return self._noise.told(len(members), digest_of(members), meaning(asked))

    async def _tell(self, members: MemberSet, asked: Expression) -> Told:
        told = await asyncio.to_thread(self.tell, members, asked)
        return Told(told or 0, below_floor=told is None)


def _asked(audience: Audience) -> Expression:
    return parse(audience.expression) if audience.expression else InAudience(audience.audience_id)


def digest_of(members: MemberSet) -> bytes:
    """SHA-256 of the exact set, the same for equal sets however they came to be."""
    smallest = members.copy()
    smallest.run_optimize()
    return hashlib.sha256(smallest.serialize()).digest()
