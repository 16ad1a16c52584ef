"""Why a person is in an audience, or why not."""

from dataclasses import dataclass

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.ports import Profiles
from bihuan_shared.targeting import Holds, Why, canonical, check, explain, parse


@dataclass(frozen=True, slots=True)
class Membership:
    """
    What an expression says of a person now, and whether the person is in the audience as it was last built.

    `expression` is canonical, and empty for a list.
    """

    why: Why
    member: bool
    expression: str


async def explain_audience(audiences: Audiences, profiles: Profiles, person_id: int, audience_id: str) -> Membership:
    """Of an audience; NotFound where there is none, Unavailable where the person cannot be read."""
    audience = await audiences.get(audience_id)
    member = audiences.contains(audience_id, person_id)
    if not audience.expression:
        return Membership(Why(member, Holds.YES if member else Holds.NO, ()), member, "")
    found = await explain_expression(audiences, profiles, person_id, audience.advertiser_id, audience.expression)
    return Membership(found.why, member, found.expression)


async def explain_expression(
    audiences: Audiences, profiles: Profiles, person_id: int, advertiser_id: str, text: str
) -> Membership:
    """
    Of an expression of an advertiser; of who is not there nothing is known.

    Raises ExpressionInvalid with the column, Unavailable where the person cannot be read.
    """
    written = canonical(parse(text))
    # Columns are those of the text that is told.
    expression = parse(written)
    check(expression, await profiles.taxonomy(advertiser_id))
    facts = PersonFacts(person_id)
    async for readings in profiles.readings([person_id], [advertiser_id] if advertiser_id else []):
        for reading in readings:
            facts = reading.facts or facts
    why = explain(expression, ExpressionFacts(facts, audiences), withheld=facts.withheld)
    return Membership(why, member=False, expression=written)
