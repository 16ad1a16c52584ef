"""What an audience is made of, as that may be told."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_scoring.domain.audiences import Audience
from bihuan_scoring.domain.composition import Composition, divergence
from bihuan_scoring.domain.reach import ReachNoise
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.ports import Profiles
from bihuan_shared.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class TagShare:
    """A condition, about how many members and how many of everyone meet it, and the ratio of its shares."""

    condition: str
    member_count: int
    everyone_count: int
    index: float


@dataclass(frozen=True, slots=True)
class Description:
    """Counts are told with noise; `hidden_count` conditions were met by too few to be told."""

    audience: Audience
    known_member_count: int
    known_count: int
    tags: Sequence[TagShare]
    hidden_count: int


class Describer:
    """Reads every profile that may be used for targeting, and counts."""

    def __init__(self, audiences: Audiences, profiles: Profiles, noise: ReachNoise) -> None:
        self._audiences = audiences
        self._profiles = profiles
        self._noise = noise

    async def describe(self, audience_id: str, max_tags: int) -> Description:
        """
        The conditions that differ most from everyone, at most `max_tags`.

        Raises NotFound, FailedPrecondition where the audience is not ready or (BELOW_FLOOR) too small, Unavailable.
        """
        audience = await self._audiences.get(audience_id)
        held = self._audiences.members(audience_id)
        if held is None:
            raise FailedPrecondition(f"audience {audience_id} is not ready")
        members, counted, seen = held.copy(), Composition(), self._audiences.build_set(())
        async for persons in self._profiles.scan((audience.advertiser_id,)):
            for person in persons:
                if person.person_id not in seen:
                    seen.add(person.person_id)
                    counted.add(person, member=person.person_id in members)
        set_name = f"{audience_id} {audience.revision} {len(members)}"
        size = self._told(counted.member_count, set_name, "known members")
        everyone = self._told(counted.count, "everyone", "known")
        if size is None or everyone is None:
            raise FailedPrecondition("too few members to tell what they are made of", reason="BELOW_FLOOR")
        tags, hidden = self._tags(counted, set_name, (size, everyone))
        return Description(audience, size, everyone, tags[:max_tags], hidden + counted.uncounted)

    def _tags(self, counted: Composition, set_name: str, sizes: tuple[int, int]) -> tuple[list[TagShare], int]:
        found: list[tuple[float, TagShare]] = []
        hidden = 0
        for condition, count in counted.everyone.items():
            inside = self._told(counted.members[condition], set_name, condition)
            overall = self._told(count, "everyone", condition)
            if inside is None or overall is None:
                hidden += 1
                continue
            # Noise can take a count a little beyond the whole.
            shares = min(1.0, inside / sizes[0]), min(1.0, overall / sizes[1])
            tag = TagShare(condition, inside, overall, round(shares[0] / shares[1], 2))
            found.append((divergence(*shares), tag))
        found.sort(key=lambda each: (-each[0], each[1].condition))
        return [tag for _, tag in found], hidden

    def _told(self, count: int, set_name: str, condition: str) -> int | None:
        """The set is not there to be hashed; a count that changes draws anew instead."""
        digest = hashlib.sha256(f"{set_name}\0{condition}\0{count}".encode()).digest()
        return self._noise.told(count, digest, f"{condition} in {set_name.split(maxsplit=1)[0]}")
