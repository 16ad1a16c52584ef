"""Set algebra of audiences: its laws, and combinations that are built, kept up, explained and guarded."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from bihuan_scoring.domain.audiences import Audience, AudienceState
from bihuan_scoring.domain.combination import MAX_OPERANDS, Combination, combined
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.combining import create_combination, follow_combinations
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.lookup import MemberLookup
from bihuan_scoring.use_cases.membership import explain_audience
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.targeting import canonical, evaluate, parse
from tests.unit.scoring.test_audiences import World, _new
from tests.unit.scoring.test_audiences import world as world  # noqa: PLC0414  # a fixture

PEOPLE = st.frozensets(st.integers(1, 60) | st.integers(2**40, 2**40 + 9), max_size=40)
NAMES = tuple("abcde")
LISTS = st.lists(st.sampled_from(NAMES), max_size=6).map(tuple)
ALGEBRA = st.builds(Combination, LISTS, LISTS, LISTS).filter(lambda one: one.all_of or one.any_of)
SETS = st.fixed_dictionaries(dict.fromkeys(NAMES, PEOPLE))


def _bitmaps(sets: Mapping[str, frozenset[int]]) -> dict[str, BitMap64]:
    return {name: BitMap64(sorted(people)) for name, people in sets.items()}


@given(ALGEBRA, SETS)
def test_bitmaps_say_what_the_expression_says_of_every_person(of: Combination, sets: dict[str, frozenset[int]]) -> None:
    lookup = MemberLookup()
    lookup.held |= _bitmaps(sets)
    expression = parse(of.normal().expression())
    everyone = frozenset[int]().union(*sets.values())
    fitting = {one for one in everyone if evaluate(expression, ExpressionFacts(PersonFacts(one), lookup))}
    assert set(combined(of.normal(), _bitmaps(sets))) == fitting


@given(ALGEBRA, SETS)
def test_order_and_repeats_do_not_count(of: Combination, sets: dict[str, frozenset[int]]) -> None:
    backwards = Combination(of.all_of[::-1] * 2, of.any_of[::-1], of.none_of[::-1])
    if len(backwards.all_of) + len(of.any_of) + len(of.none_of) <= MAX_OPERANDS:
        assert backwards.normal() == of.normal()
    assert combined(of, sets) == combined(of.normal(), sets)


@given(PEOPLE, PEOPLE, PEOPLE)
def test_laws_of_sets_hold(a: frozenset[int], b: frozenset[int], c: frozenset[int]) -> None:
    sets = _bitmaps({"a": a, "b": b, "c": c})

    def union(*names: str) -> BitMap64:
        return combined(Combination(any_of=names), sets)

    def meet(*names: str) -> BitMap64:
        return combined(Combination(all_of=names), sets)

    def less(name: str, *others: str) -> BitMap64:
        return combined(Combination(all_of=(name,), none_of=others), sets)

    assert len(union("a", "b")) + len(meet("a", "b")) == len(a) + len(b)
    assert less("a", "b", "c") == less("a", "b") & less("a", "c")  # De Morgan
    assert combined(Combination(("a",), ("b", "c")), sets) == meet("a", "b") | meet("a", "c")  # distributivity
    assert less("a", "b") | meet("a", "b") == sets["a"]
    assert meet("a", "a") == union("a", "a") == sets["a"]
    assert not less("a", "a")


@given(ALGEBRA)
def test_expression_is_canonical(of: Combination) -> None:
    assert canonical(parse(of.normal().expression())) == of.normal().expression()


async def _lists(world: World) -> None:
    for name, people in (("a", [1, 2, 3, 4]), ("b", [3, 4, 5]), ("c", [4, 2**40])):
        await world.audiences.create_from_members(_new(name), people)


async def _combine(world: World, name: str, of: Combination) -> list[int]:
    await create_combination(world.audiences, _new(name), of)
    await world.build()
    return sorted(world.audiences.held[name])


async def test_union_intersection_and_difference_are_built_without_any_profile(world: World) -> None:
    await _lists(world)
    world.profiles.failures = 100
    assert await _combine(world, "union", Combination(any_of=("a", "c"))) == [1, 2, 3, 4, 2**40]
    assert await _combine(world, "both", Combination(("a", "b"))) == [3, 4]
    assert await _combine(world, "less", Combination(("a",), (), ("b", "c"))) == [1, 2]
    assert await _combine(world, "mixed", Combination(("a",), ("b", "c"), ("c",))) == [3]
    made = await world.audiences.get("mixed")
    assert made.expression == 'audience("a") and (audience("b") or audience("c")) and not audience("c")'
    await world.restart()
    assert sorted(world.audiences.held["mixed"]) == [3]
    assert (await world.audiences.get("mixed")).combination == Combination(("a",), ("b", "c"), ("c",))


async def test_a_change_of_the_result_leaves_the_operand_as_it_is(world: World) -> None:
    await _lists(world)
    await _combine(world, "same", Combination(("a",)))
    world.audiences.place("same", [2, 9], frozenset({9}))
    assert sorted(world.audiences.held["same"]) == [1, 3, 4, 9]
    assert sorted(world.audiences.held["a"]) == [1, 2, 3, 4]


async def test_refreshing_takes_operands_before_what_is_made_of_them(world: World) -> None:
    await world.audiences.create_from_expression(_new("women"), 'gender == "f"')
    await world.build()
    await _combine(world, "z", Combination(("women",)))
    await _combine(world, "a", Combination(any_of=("z",)))
    world.profiles.persons = [PersonFacts(2, {"gender": "f"})]
    await world.audiences.refresh_all()
    await world.build()
    assert [sorted(world.audiences.held[name]) for name in ("women", "z", "a")] == [[2], [2], [2]]
    assert await world.audiences.to_build() == []


async def test_a_person_who_moves_between_operands_moves_in_what_is_made_of_them(world: World) -> None:
    await _lists(world)
    await _combine(world, "less", Combination(("a",), (), ("b",)))
    await _combine(world, "deep", Combination(any_of=("less", "c")))
    await world.audiences.update_members("b", "a1", [1], [3])
    await follow_combinations(world.audiences, [1, 3])
    assert [sorted(world.audiences.held[name]) for name in ("less", "deep")] == [[2, 3], [2, 3, 4, 2**40]]


async def test_what_is_made_of_an_audience_whose_members_change_is_built_anew(world: World) -> None:
    await _lists(world)
    await _combine(world, "less", Combination(("a",), (), ("b",)))
    await _combine(world, "deep", Combination(any_of=("less", "c")))
    assert await world.audiences.to_build() == []
    world.audiences.waiting.clear()
    await world.audiences.update_members("b", "a1", [1], [3])
    assert world.audiences.waiting.is_set()
    await world.build()
    assert [sorted(world.audiences.held[name]) for name in ("less", "deep")] == [[2, 3], [2, 3, 4, 2**40]]
    await world.restart()
    assert sorted(world.audiences.held["deep"]) == [2, 3, 4, 2**40]


async def test_persons_who_turn_out_to_be_one_are_in_a_combination_as_that_one(world: World) -> None:
    await _lists(world)
    await _combine(world, "less", Combination(("a",), (), ("b",)))
    merged = PersonsChange(1, 5, (1,), (PersonPart(5),))
    await world.audiences.follow(merged)
    await world.build()
    assert sorted(world.audiences.held["less"]) == [2]


async def test_erased_persons_leave_combinations_and_do_not_come_back(world: World) -> None:
    await _lists(world)
    await _combine(world, "union", Combination(any_of=("a", "b")))
    assert await world.audiences.delete_person(4) == 4
    await world.audiences.refresh("union", "a1")
    await world.build()
    assert sorted(world.audiences.held["union"]) == [1, 2, 3, 5]


async def test_an_operand_cannot_be_deleted_while_it_is_used(world: World) -> None:
    await _lists(world)
    await _combine(world, "union", Combination(any_of=("a", "b")))
    for operand in ("a", "b"):
        with pytest.raises(FailedPrecondition, match="union"):
            await world.audiences.delete(operand)
    assert await world.audiences.delete("c")
    assert await world.audiences.delete("union")
    assert await world.audiences.delete("a")


async def test_a_combination_cannot_come_to_be_made_of_itself(world: World) -> None:
    await _lists(world)
    await world.audiences.create_from_expression(_new("x"), 'audience("c")')
    await world.build()
    assert await world.audiences.delete("c")
    await _combine(world, "y", Combination(("x",)))
    for operand in ("x", "y"):
        with pytest.raises(InvalidArgument, match="made of"):
            await create_combination(world.audiences, _new("c"), Combination((operand,)))
    with pytest.raises(InvalidArgument):
        await create_combination(world.audiences, _new("new"), Combination(("new",)))


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (Combination(none_of=("a",)), "definition.combination.any_of"),
        (Combination(any_of=("a",) * (MAX_OPERANDS + 1)), "definition.combination"),
        (Combination(("a",), ("b", "nobody")), "definition.combination.any_of[1]"),
        (Combination(("a", "b"), none_of=("theirs",)), "definition.combination.none_of[0]"),
    ],
)
async def test_what_cannot_be_combined_is_refused_by_its_field(world: World, of: Combination, field: str) -> None:
    await _lists(world)
    await world.audiences.create_from_members(_new("theirs", "a2"), [1])
    with pytest.raises(InvalidArgument) as caught:
        await create_combination(world.audiences, _new("x"), of)
    assert [one.field for one in caught.value.violations] == [field]


async def test_operands_must_be_ready_and_a_repeat_must_be_the_same(world: World) -> None:
    await _lists(world)
    await world.audiences.create_from_expression(_new("slow"), 'gender == "f"')
    with pytest.raises(FailedPrecondition, match="slow"):
        await create_combination(world.audiences, _new("x"), Combination(("slow",)))
    made = await create_combination(world.audiences, _new("x"), Combination(("a", "b")))
    assert made.state is AudienceState.BUILDING
    assert await create_combination(world.audiences, _new("x"), Combination(("b", "a", "a"))) == made
    with pytest.raises(AlreadyExists):
        await create_combination(world.audiences, _new("x"), Combination(any_of=("a", "b")))


async def test_membership_in_a_combination_is_explained_operand_by_operand(world: World) -> None:
    await _lists(world)
    await _combine(world, "less", Combination(("a",), (), ("b",)))
    found = await explain_audience(world.audiences, world.profiles, 3, "less")
    assert (found.member, found.why.matches) == (False, False)
    assert [(one.text, one.value) for one in found.why.reasons] == [('audience("a")', True), ('audience("b")', True)]


async def test_a_combination_of_a_lost_list_fails_and_one_of_a_lost_expression_waits(world: World) -> None:
    await _lists(world)
    await world.audiences.create_from_expression(_new("women"), 'gender == "f"')
    await world.build()
    for name, operand in (("of-list", "a"), ("of-rule", "women")):
        await _combine(world, name, Combination((operand,)))
    for path in world.folder.iterdir():
        path.unlink()
    await world.restart()
    world.profiles.failures = 100
    await world.build()
    assert await _state(world, "of-list") is AudienceState.FAILED
    world.profiles.failures = 0
    await world.restart()
    await world.audiences.store.update([replace(await _stored(world, "women"), state=AudienceState.BUILDING)])
    await world.audiences.store.update([replace(await _stored(world, "of-rule"), state=AudienceState.BUILDING)])
    await world.build()
    assert sorted(world.audiences.held["of-rule"]) == [1, 3]


async def _stored(world: World, name: str) -> Audience:
    found = await world.audiences.store.get(name)
    assert found is not None
    return found


async def _state(world: World, name: str) -> AudienceState:
    return (await world.audiences.get(name)).state
