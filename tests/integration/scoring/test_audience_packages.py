"""Packages of audiences over a real socket: set algebra, brand behaviour, versions, schedules and overlaps."""

import asyncio

import pytest

from bihuan.common.v1 import common_pb2
from bihuan.scoring.v1 import audience_pb2
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound
from tests.integration.scoring.test_scoring_service import Stack, _create, _persons
from tests.integration.scoring.test_scoring_service import stack as stack  # noqa: PLC0414  # a fixture


async def _list(stack: Stack, name: str, *people: int) -> None:
    members = audience_pb2.MemberList(person_ids=people)
    await stack.audiences.CreateAudience(_create(name, members=members))


async def _ready(stack: Stack, name: str, version: int = 1) -> audience_pb2.GetAudienceResponse:
    request, audiences = audience_pb2.GetAudienceRequest(audience_id=name), stack.audiences
    async with asyncio.timeout(20):
        while True:
            answer = await audiences.GetAudience(request)
            if answer.audience.version >= version and answer.audience.state == audience_pb2.AUDIENCE_STATE_READY:
                return answer


async def test_combination_is_built_follows_its_operands_is_explained_and_guards_its_operands(stack: Stack) -> None:
    await _list(stack, "a", 1, 2, 3)
    await _list(stack, "b", 3, 4)
    of = audience_pb2.Combination(all_of=["a"], none_of=["b"])
    await stack.audiences.CreateAudience(_create("less", combination=of))
    answer = await _ready(stack, "less")
    assert (answer.audience.size, answer.audience.expression) == (2, 'audience("a") and not audience("b")')
    members = audience_pb2.UpdateAudienceMembersRequest(
        audience_id="b", advertiser_id="a1", add_persons=_persons(1).persons
    )
    await stack.audiences.UpdateAudienceMembers(members)
    answer = await _ready(stack, "less", 2)
    assert [one.cause for one in answer.history] == [
        audience_pb2.AUDIENCE_VERSION_CAUSE_REFRESHED,
        audience_pb2.AUDIENCE_VERSION_CAUSE_BUILT,
    ]
    assert [(one.version, one.size, one.told_size, one.below_floor) for one in answer.history] == [
        (2, 1, 0, True),
        (1, 2, 0, True),
    ]
    assert answer.audience.refresh_time == answer.history[0].version_time
    found = await stack.audiences.BatchGetMemberships(_persons(1, 2))
    assert [list(one.audience_ids) for one in found.memberships] == [["a", "b"], ["a", "less"]]
    why = await stack.audiences.ExplainMembership(
        audience_pb2.ExplainMembershipRequest(person=common_pb2.PersonRef(person_id=2), audience_id="less")
    )
    assert (why.member, [one.text for one in why.reasons]) == (True, ['audience("a")', 'audience("b")'])
    with pytest.raises(FailedPrecondition):
        await stack.audiences.DeleteAudience(audience_pb2.DeleteAudienceRequest(audience_id="b"))
    await stack.restart()
    assert (await _ready(stack, "less")).history == answer.history


async def test_combination_that_names_too_much_or_nobody_is_refused(stack: Stack) -> None:
    await _list(stack, "a", 1)
    for of in (
        audience_pb2.Combination(none_of=["a"]),
        audience_pb2.Combination(all_of=["a"] * 11, any_of=["a"] * 10),
        audience_pb2.Combination(all_of=["nobody"]),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await stack.audiences.CreateAudience(_create("x", combination=of))
        assert caught.value.violations[0].field.startswith("definition.combination")


async def test_brand_behaviour_shows_its_expression_and_names_a_wrong_field(stack: Stack) -> None:
    asked = audience_pb2.BrandBehaviour(brand="acme", kind=audience_pb2.BRAND_BEHAVIOUR_KIND_EXISTING)
    await stack.audiences.CreateAudience(_create("customers", brand_behaviour=asked))
    shown = (await _ready(stack, "customers")).audience
    assert shown.expression == 'segment("aipl:purchased:acme") or segment("aipl:loyal:acme")'
    asked.within_days = 90
    with pytest.raises(InvalidArgument) as caught:
        await stack.audiences.CreateAudience(_create("x", brand_behaviour=asked))
    assert caught.value.violations[0].field == "definition.brand_behaviour.within_days"
    with pytest.raises(InvalidArgument):
        await stack.audiences.CreateAudience(_create("x", brand_behaviour=audience_pb2.BrandBehaviour(brand="acme")))


async def test_interval_of_an_audience_is_kept_and_one_below_a_minute_refused(stack: Stack) -> None:
    request = _create("women", expression='gender == "f"')
    request.audience.refresh_interval_s = 60
    await stack.audiences.CreateAudience(request)
    await stack.restart()
    assert (await _ready(stack, "women")).audience.refresh_interval_s == 60
    request.audience.audience_id, request.audience.refresh_interval_s = "x", 59
    with pytest.raises(InvalidArgument) as caught:
        await stack.audiences.CreateAudience(request)
    assert caught.value.violations[0].field == "audience.refresh_interval_s"


async def test_overlaps_are_told_in_order_and_not_below_the_floor(stack: Stack) -> None:
    await _list(stack, "a", *range(1, 501))
    await _list(stack, "b", *range(251, 751))
    await _list(stack, "c", *range(700, 1_000))
    request = audience_pb2.CompareAudiencesRequest(advertiser_id="a1", audience_ids=["b", "a", "c"])
    answer = await stack.audiences.CompareAudiences(request)
    assert [one.audience_id for one in answer.sizes] == ["b", "a", "c"]
    assert [one.size for one in answer.sizes] == pytest.approx([500, 500, 300], abs=30)
    assert [(one.audience_id, one.other_audience_id, one.below_floor) for one in answer.overlaps[:1]] == [
        ("b", "a", False)
    ]
    assert answer.overlaps[0].intersection == pytest.approx(250, abs=30)
    assert answer.overlaps[0].jaccard == pytest.approx(1 / 3, abs=0.1)
    last = answer.overlaps[2]
    assert (last.other_audience_id, last.below_floor, last.intersection, last.jaccard) == ("c", True, 0, 0.0)
    assert await stack.audiences.CompareAudiences(request) == answer
    for told in answer.sizes:
        shown = await stack.audiences.GetAudience(audience_pb2.GetAudienceRequest(audience_id=told.audience_id))
        assert (shown.audience.told_size, shown.audience.size_below_floor) == (told.size, told.below_floor)


async def test_only_ready_audiences_of_the_advertiser_are_compared(stack: Stack) -> None:
    await _list(stack, "a", 1)
    await stack.audiences.CreateAudience(
        _create("x", look_alike=audience_pb2.LookAlike(seed_audience_id="a", target_size=10))
    )
    for advertiser, names, error in (
        ("a1", ["a", "nobody"], NotFound),
        ("a2", ["a", "x"], NotFound),
        ("a1", ["a", "x"], FailedPrecondition),
        ("a1", ["a", "a"], InvalidArgument),
        ("a1", ["a"], InvalidArgument),
        ("a1", [f"a{index}" for index in range(51)], InvalidArgument),
    ):
        with pytest.raises(error):
            await stack.audiences.CompareAudiences(
                audience_pb2.CompareAudiencesRequest(advertiser_id=advertiser, audience_ids=names)
            )
