"""
Building audiences from expressions, in the background.

An index answers where that is up to date, else one scan of all profiles for all that wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from bihuan_scoring.domain.audiences import Audience, MemberSet, estimated_progress
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.combining import build_combinations
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.ports import Profiles
from bihuan_shared.errors import BihuanError, InvalidArgument, Unavailable
from bihuan_shared.targeting import Expression, TagType, check, evaluate, namespace_in, parse, references

_log = structlog.get_logger("bihuan.scoring")

MAX_AT_ONCE = 512
"""Audiences that share a scan."""
_ATTEMPTS = 8
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0


class AudienceBuilder:
    """Builds whatever waits, as long as it runs. What an interruption leaves unbuilt is built after the next start."""

    def __init__(
        self,
        audiences: Audiences,
        profiles: Profiles,
        sleep: Callable[[float], Awaitable[None]],
        find: Callable[[Expression], Awaitable[MemberSet | None]] | None = None,
    ) -> None:
        """`find` tells who fits an expression without a scan, or None."""
        self._audiences = audiences
        self._find = find
        self._profiles = profiles
        self._sleep = sleep
        self._expected_persons = 0

    async def run(self) -> None:
        """Build, wait, build again; never returns."""
        while True:
            await self._audiences.waiting.wait()
            self._audiences.waiting.clear()
            await self.build_waiting()

    async def build_waiting(self) -> None:
        """
        Build every audience that waits, combinations last, of what there is then.

        A scan that fails is repeated with growing delays; an audience is FAILED where that does not help, and at once
        where its expression no longer fits the taxonomy.
        """
        await self._build_expressions()
        await build_combinations(self._audiences)

    async def _build_expressions(self) -> None:
        failure = ""
        for attempt in range(_ATTEMPTS):
            waiting = await self._to_build()
            if not waiting:
                return
            if len(waiting) > MAX_AT_ONCE:
                self._audiences.waiting.set()
            try:
                await self._build(waiting[:MAX_AT_ONCE])
            except BihuanError as error:
                failure = error.detail
                _log.warning("audiences could not be built", attempt=attempt + 1, reason=error.reason)
                await self._sleep(min(_FIRST_DELAY_S * 2**attempt, _LONGEST_DELAY_S))
            else:
                return
        for audience in await self._to_build():
            await self._audiences.give_up(audience, failure)

    async def _to_build(self) -> Sequence[Audience]:
        return [one for one in await self._audiences.to_build() if one.look_alike is None and one.combination is None]

    async def _build(self, waiting: Sequence[Audience]) -> None:
        expressions, advertisers, postponed = await self._parsed(waiting)
        asked = self._audiences.refreshes.asked()
        for audience in waiting:
            expression = expressions.get(audience.audience_id)
            if expression is not None and await self._answered(audience, expression, asked):
                del expressions[audience.audience_id]
        if expressions:
            await self._scan(waiting, expressions, advertisers, asked)
        if postponed:
            # Profile's store has lost them; the gateway, which keeps them, puts them again.
            raise Unavailable("private tags that an audience names are not known just now")

    async def _parsed(self, waiting: Sequence[Audience]) -> tuple[dict[str, Expression], set[str], bool]:
        """Expressions by audience, whose private tags they name, and whether any names one that is not known."""
        taxonomies: dict[str, Mapping[str, TagType]] = {}
        expressions: dict[str, Expression] = {}
        advertisers: set[str] = set()
        postponed = False
        for audience in waiting:
            try:
                parsed = parse(audience.expression)
                private = {name for name in references(parsed).attributes if namespace_in(name)}
                owner = audience.advertiser_id if private else ""
                if owner not in taxonomies:
                    taxonomies[owner] = await self._profiles.taxonomy(owner)
                if not private <= taxonomies[owner].keys():
                    postponed = True
                    continue
                check(parsed, taxonomies[owner])
            except InvalidArgument as error:
                await self._audiences.give_up(audience, error.detail)
                continue
            expressions[audience.audience_id] = parsed
            advertisers |= {owner} - {""}
        return expressions, advertisers, postponed

    async def _scan(
        self,
        waiting: Sequence[Audience],
        expressions: Mapping[str, Expression],
        advertisers: Collection[str],
        asked: Mapping[str, int],
    ) -> None:
        found: dict[str, set[int]] = {audience_id: set() for audience_id in expressions}
        scanned = 0
        async for persons in self._profiles.scan(advertisers):
            self._match(persons, expressions, found)
            scanned += len(persons)
            progress = estimated_progress(scanned, self._expected_persons)
            self._audiences.progress.update(dict.fromkeys(expressions, progress))
        self._expected_persons = scanned
        async with self._audiences.changing:
            for audience in waiting:
                if audience.audience_id in found:
                    person_ids = sorted(found[audience.audience_id])
                    members = await asyncio.to_thread(self._audiences.build_set, person_ids)
                    await self._publish(audience, members, asked)

    async def _answered(self, audience: Audience, expression: Expression, asked: Mapping[str, int]) -> bool:
        """Whether the index told who fits, so that the audience is built."""
        if self._find is None:
            return False
        # What the index learns from now on is put into the audience after it was published, as that takes the lock too.
        async with self._audiences.changing:
            members = await self._find(expression)
            if members is not None:
                await self._publish(audience, members, asked)
        return members is not None

    async def _publish(self, audience: Audience, members: MemberSet, asked: Mapping[str, int]) -> None:
        await self._audiences.publish(audience, members)
        self._audiences.refreshes.done(audience.audience_id, asked.get(audience.audience_id))

    def _match(
        self, persons: Sequence[PersonFacts], expressions: Mapping[str, Expression], found: Mapping[str, set[int]]
    ) -> None:
        for person in persons:
            facts = ExpressionFacts(person, self._audiences)
            for audience_id, expression in expressions.items():
                if evaluate(expression, facts):
                    found[audience_id].add(person.person_id)
                else:
                    # A person may come twice; what was written last counts.
                    found[audience_id].discard(person.person_id)
