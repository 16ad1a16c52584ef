"""Audiences follow what the index learns."""

import asyncio
from collections.abc import Sequence

from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.persons import AudienceSets, joined
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.combining import follow_combinations
from bihuan_scoring.use_cases.living import LivingAudiences
from bihuan_shared.targeting import audiences_of


class AudiencesListen:
    """Puts changed persons into audiences and takes them out; has all built anew after a gap."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences
        self._living = LivingAudiences(audiences)

    async def changed(self, persons: TagIndex, person_ids: Sequence[int], now_us: int) -> None:
        """Of these persons, whoever fits an audience now is in it, and the others are not."""
        for audience_id, expression in await self._living.expressions():
            held = self._audiences.held
            named = {name: held[name] for name in audiences_of(expression) if name in held}
            found = await asyncio.to_thread(persons.members, expression, now_us, AudienceSets(named).block)
            await self._living.follow(audience_id, person_ids, joined(found))
        await follow_combinations(self._audiences, person_ids)

    async def renewed(self) -> None:
        """Every audience made from an expression is built anew."""
        await self._audiences.refresh_all()
