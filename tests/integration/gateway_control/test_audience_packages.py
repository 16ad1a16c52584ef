"""Packages from the gateway's hops over scoring and profile, which run: events make brand behaviour."""

import asyncio

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.audience_hops import AudienceHop
from bihuan_gateway.control.packages import BehaviourKind, BrandBehaviourSpec, CombinationSpec
from bihuan_gateway.control.ports import AudienceStatus
from bihuan_shared.errors import FailedPrecondition, InvalidArgument
from tests.integration.gateway_control.test_reactivation import DEADLINE_S, World
from tests.integration.gateway_control.test_reactivation import world as world  # noqa: PLC0414  # a fixture

TEA, COFFEE = 'tea "no. 1"', "coffee"


async def _made(world: World, name: str, package: CombinationSpec | BrandBehaviourSpec) -> AudienceStatus:
    """An audience, once it is ready."""
    hop = AudienceHop(world.hops.audiences)
    await hop.create(name, "acme", name, expression="", person_ids=(), package=package, refresh_interval_s=60)
    async with asyncio.timeout(DEADLINE_S):
        while (status := await hop.status(name)).state != "ready":
            await asyncio.sleep(0.02)
    return status


async def _members(world: World, name: str) -> list[int]:
    people = range(1, 7)
    request = audience_pb2.BatchGetMembershipsRequest(
        persons=[common.PersonRef(person_id=person_id) for person_id in people]
    )
    found = (await world.hops.audiences.BatchGetMemberships(request)).memberships
    return [person_id for person_id, one in zip(people, found, strict=True) if name in one.audience_ids]


async def _events(world: World) -> None:
    await world.happen(1, common.BEHAVIOUR_ORDER, 100, TEA)
    await world.happen(2, common.BEHAVIOUR_CLICK, 10, TEA)
    await world.happen(3, common.BEHAVIOUR_CLICK, 200, TEA)
    await world.happen(4, common.BEHAVIOUR_IMPRESSION, 1, TEA)
    await world.happen(5, common.BEHAVIOUR_ORDER, 20, COFFEE)
    await world.happen(6, common.BEHAVIOUR_ORDER, 29, COFFEE)
    await world.happen(6, common.BEHAVIOUR_ORDER, 40, TEA)


async def test_events_make_customers_prospects_and_fans(world: World) -> None:
    await _events(world)
    asked: list[tuple[BehaviourKind, dict[str, object], list[int]]] = [
        ("existing", {"brand": TEA}, [1, 6]),
        ("potential", {"brand": TEA}, [2]),
        ("potential", {"brand": TEA, "within_days": 400}, [2, 3]),
        ("interacted", {"brand": TEA}, [2, 6]),
        ("interacted", {"brand": TEA, "within_days": 400}, [1, 2, 3, 6]),
        ("fans_of_topic", {"topic": "brand:coffee"}, [5, 6]),
        ("fans_of_topic", {"topic": "brand:coffee", "within_days": 25}, [5]),
        ("fans_of_rival", {"rival": COFFEE}, [5, 6]),
        ("fans_of_rival", {"rival": COFFEE, "brand": TEA}, [5]),
    ]
    for index, (kind, fields, people) in enumerate(asked):
        status = await _made(world, f"p{index}", BrandBehaviourSpec.model_validate({"kind": kind, **fields}))
        assert status.standing.expression
        assert await _members(world, f"p{index}") == people, (kind, fields)


async def test_packages_combine_and_their_history_and_overlap_are_told(world: World) -> None:
    await _events(world)
    await _made(world, "customers", BrandBehaviourSpec(kind="existing", brand=TEA))
    await _made(world, "fans", BrandBehaviourSpec(kind="fans_of_rival", rival=COFFEE))
    status = await _made(world, "both", CombinationSpec(all_of=("customers", "fans")))
    assert await _members(world, "both") == [6]
    assert status.standing.expression == 'audience("customers") and audience("fans")'
    assert [(one.version, one.cause, one.below_floor) for one in status.standing.history] == [(1, "built", True)]
    assert status.standing.refresh_time == status.standing.history[0].version_time
    told = await AudienceHop(world.hops.audiences).compare("acme", ["fans", "customers"])
    assert [(one.id, one.below_floor) for one in told.audiences] == [("fans", True), ("customers", True)]
    assert [(one.id, one.other_id, one.below_floor) for one in told.overlaps] == [("fans", "customers", True)]
    with pytest.raises(FailedPrecondition):
        await world.hops.audiences.DeleteAudience(audience_pb2.DeleteAudienceRequest(audience_id="fans"))


async def test_what_scoring_refuses_of_a_package_is_named_as_the_caller_wrote_it(world: World) -> None:
    hop = AudienceHop(world.hops.audiences)
    for package, field in (
        (BrandBehaviourSpec(kind="existing", brand=TEA, within_days=30), "/brand_behaviour/within_days"),
        (BrandBehaviourSpec(kind="fans_of_topic", brand=TEA), "/brand_behaviour/topic"),
        (CombinationSpec(all_of=("nobody",)), "/combination/all_of/0"),
        (CombinationSpec(none_of=("nobody",)), "/combination/any_of"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await hop.create("x", "acme", "X", expression="", person_ids=(), package=package)
        assert [one.field for one in caught.value.violations] == [field]
    with pytest.raises(InvalidArgument) as caught:
        await hop.create("x", "acme", "X", expression="", person_ids=[1], refresh_interval_s=60)
    assert [one.field for one in caught.value.violations] == ["/refresh_interval_s"]
