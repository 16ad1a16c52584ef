"""Everyone who fits an expression: from the index where that is up to date, else by a scan of all profiles."""

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.ports import Everyone, Profiles
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.targeting import Expression, audiences_of, check, evaluate, namespace_in, parse, references


class Finder:
    """Asks the index, where there is one."""

    def __init__(self, audiences: Audiences, everyone: Everyone | None, clock: Clock) -> None:
        self._audiences = audiences
        self._everyone = everyone
        self._clock = clock

    async def members(self, expression: Expression) -> MemberSet | None:
        """
        Everyone who fits a checked expression, as a set of its own; None where a scan has to find that.

        The index holds the tags of the platform, not the private ones of advertisers, whose names have a dot.
        """
        if self._everyone is None or any(namespace_in(name) for name in references(expression).attributes):
            return None
        held = self._audiences.held
        named = {audience_id: held[audience_id] for audience_id in audiences_of(expression) if audience_id in held}
        return await self._everyone.members(expression, named, self._clock.now_us())


async def reached(audiences: Audiences, profiles: Profiles, finder: Finder, advertiser_id: str, text: str) -> MemberSet:
    """
    Who fits an expression of an advertiser now, as a set of its own.

    Raises ExpressionInvalid with the column, FailedPrecondition where it names an audience that is not ready,
    Unavailable where profiles cannot be read.
    """
    expression = parse(text)
    check(expression, await profiles.taxonomy(advertiser_id))
    missing = sorted(audiences_of(expression) - audiences.held.keys())
    if missing:
        raise FailedPrecondition(f"the expression names an audience that is not ready: {missing[0]}")
    members = await finder.members(expression)
    if members is None:
        members = audiences.build_set(await _scanned(audiences, profiles, advertiser_id, expression))
    audiences.settle(members)
    return members


async def _scanned(audiences: Audiences, profiles: Profiles, advertiser_id: str, expression: Expression) -> list[int]:
    found: set[int] = set()
    async for persons in profiles.scan([advertiser_id] if advertiser_id else []):
        for person in persons:
            # A person may come twice; what was written last counts.
            fits = evaluate(expression, ExpressionFacts(person, audiences))
            (found.add if fits else found.discard)(person.person_id)
    return sorted(found)
