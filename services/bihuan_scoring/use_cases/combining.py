"""
Audiences made of other audiences: creating them, building them, and keeping them up with their operands.

There are no cycles: operands are there before a combination is, definitions never change, and an operand cannot be
deleted while a combination is made of it. An expression may name an audience that was deleted since and comes again as
a combination of that very expression; such a combination is refused.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from bihuan_scoring.domain.audiences import Audience, MemberSet, NewAudience, definition_sha256
from bihuan_scoring.domain.combination import Combination, combined
from bihuan_scoring.domain.versions import require_interval
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.targeting import audiences_of, parse


async def create_combination(audiences: Audiences, new: NewAudience, asked: Combination) -> Audience:
    """
    An audience of set algebra, built in the background.

    Raises InvalidArgument where it names too many, nobody who could be in it, an audience of another advertiser or one
    that is made of this one; FailedPrecondition where an operand is not ready; AlreadyExists where the id has another
    definition.
    """
    require_interval(new.refresh_interval_s, scheduled=True)
    of = asked.normal()
    digest = definition_sha256(new.advertiser_id, "combination", repr(of).encode())
    existing = await audiences.same(new.audience_id, digest)
    if existing is not None:
        return existing
    for operand in sorted(of.operands):
        found = await audiences.store.get(operand)
        if found is None or found.advertiser_id != new.advertiser_id:
            raise InvalidArgument.of(asked.field_of(operand), "is no audience of this advertiser")
    if new.audience_id in await _made_of(audiences, of.operands):
        raise InvalidArgument.of("audience.audience_id", "is what an audience of the combination is made of")
    return await audiences.await_building(replace(new.building(of.expression(), digest), combination=of), of.operands)


async def build_combinations(audiences: Audiences) -> None:
    """
    Build every combination that waits, operands before what is made of them, and what waits because of that.

    One of an operand that has no members yet waits on, unless that operand has failed.
    """
    built = True
    while built:
        waiting = {one.audience_id: one for one in await audiences.to_build() if one.combination is not None}
        order = TopologicalSorter({name: _operands(one) & waiting.keys() for name, one in waiting.items()})
        built = any([await _build(audiences, waiting[name]) for name in order.static_order()])


async def _build(audiences: Audiences, audience: Audience) -> bool:
    """Whether it was built."""
    of = audience.combination
    assert of is not None, "only combinations are built here"
    missing = sorted(of.operands - audiences.held.keys())
    if missing:
        coming = {one.audience_id for one in await audiences.to_build()}
        if not coming.issuperset(missing):
            await audiences.give_up(audience, f"an audience that it is made of is not ready: {missing[0]}")
        return False
    asked = audiences.refreshes.asked()
    async with audiences.changing:
        sets = {name: audiences.held[name] for name in of.operands if name in audiences.held}
        if len(sets) < len(of.operands):
            return False
        # The operands' sets are replaced, never changed, so that a thread may read them.
        members = await asyncio.to_thread(_copied, of, sets)
        await audiences.publish(audience, members)
    audiences.refreshes.done(audience.audience_id, asked.get(audience.audience_id))
    return True


def _copied(of: Combination, sets: Mapping[str, MemberSet]) -> MemberSet:
    return combined(of, sets).copy()


async def follow_combinations(audiences: Audiences, person_ids: Collection[int]) -> None:
    """
    Of persons whose profiles have changed, those who are in a combination now come in and the others go out.

    In memory, as their operands do; the next building stores what is so by then.
    """
    found = {one.audience_id: one for one in await audiences.store.all() if one.combination is not None}
    order = TopologicalSorter({name: _operands(one) & found.keys() for name, one in found.items()})
    async with audiences.changing:
        for name in order.static_order():
            of, held = found[name].combination, audiences.held
            if of is None or name not in held or not of.operands <= held.keys():
                continue
            sets = {operand: frozenset(one for one in person_ids if one in held[operand]) for operand in of.operands}
            audiences.place(name, person_ids, combined(of, sets))


def _operands(audience: Audience) -> frozenset[str]:
    return frozenset() if audience.combination is None else audience.combination.operands


async def _made_of(audiences: Audiences, audience_ids: Collection[str]) -> frozenset[str]:
    """Audiences, all that they are made of, and all that those are."""
    by_id = {one.audience_id: one for one in await audiences.store.all()}
    known, waiting = set[str](), list(audience_ids)
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        if name in by_id:
            waiting += _named_by(by_id[name])
    return frozenset(known)


def _named_by(audience: Audience) -> Sequence[str]:
    seed = [] if audience.look_alike is None else [audience.look_alike.seed_audience_id]
    return [*seed, *(audiences_of(parse(audience.expression)) if audience.expression else ())]
