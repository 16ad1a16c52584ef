"""Audiences that follow the persons whose profiles change, between two buildings."""

from collections.abc import Collection, Sequence

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_shared.targeting import Expression, audiences_of, namespace_in, parse, references


class LivingAudiences:
    """
    Puts persons into audiences made from expressions and takes them out, in memory.

    The next building stores what is so by then, so nothing is lost with the process. What a threshold on an interest
    loses by time alone is found by the next building too.
    """

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences
        self._parsed: dict[str, Expression] = {}

    async def expressions(self) -> Sequence[tuple[str, Expression]]:
        """
        Those of ready audiences that are no combinations, which the index can answer, by id.

        Those that name no other audience come first, so that what they change is seen by the others.
        """
        texts = {
            audience.audience_id: audience.expression
            for audience in await self._audiences.store.all()
            if audience.expression and audience.combination is None and audience.audience_id in self._audiences.held
        }
        self._parsed = {text: self._parsed.get(text) or parse(text) for text in texts.values()}
        found = [(audience_id, self._parsed[text]) for audience_id, text in texts.items()]
        found.sort(key=lambda one: (bool(audiences_of(one[1])), one[0]))
        return [
            (audience_id, expression)
            for audience_id, expression in found
            if not any(namespace_in(name) for name in references(expression).attributes)
        ]

    async def follow(self, audience_id: str, person_ids: Collection[int], fitting: MemberSet) -> None:
        """Of these persons, those who fit are in and the others are not."""
        async with self._audiences.changing:
            self._audiences.place(audience_id, person_ids, fitting)
