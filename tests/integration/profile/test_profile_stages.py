"""Stages over a socket: current at the next read after an event, and explained."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_shared.clock import DAY_US, to_timestamp, to_us
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.profile_segments import segments_of

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CLASSES = (common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION)


@pytest.fixture
async def profile(start: Start, any_redis_url: str) -> "ProfileServiceAsyncStub":
    return await start(any_redis_url)


def consent(*classes: "common.DataClass.ValueType") -> common.Consent:
    return common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=classes or CLASSES)


def event(behaviour: "common.Behaviour.ValueType", days: float) -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=f"{behaviour}-{days}",
        person=common.PersonRef(person_id=7),
        behaviour=behaviour,
        event_time=to_timestamp(time.time_ns() // 1_000 - round(days * DAY_US)),
        tags=["brand:acme"],
        consent=consent(),
    )


async def happen(profile: "ProfileServiceAsyncStub", *events: pb.BehaviourEvent) -> None:
    answer = await profile.IngestEvents(pb.IngestEventsRequest(events=events))
    assert {one.outcome for one in answer.results} == {pb.INGEST_OUTCOME_ACCEPTED}


async def read(profile: "ProfileServiceAsyncStub") -> pb.Profile:
    request = pb.GetProfileRequest(
        person=common.PersonRef(person_id=7), purpose=common.PURPOSE_TARGETING, consent=consent()
    )
    return (await profile.GetProfile(request)).profile


async def test_next_read_after_an_event_tells_the_new_stage(profile: "ProfileServiceAsyncStub") -> None:
    await happen(profile, event(common.BEHAVIOUR_ORDER, 100))
    asleep = await read(profile)
    (relation,) = asleep.relations
    assert (relation.brand, relation.stage, relation.aipl) == (
        "acme",
        pb.RELATION_STAGE_DORMANT,
        pb.AIPL_STAGE_PURCHASED,
    )
    assert to_us(relation.since_time) == pytest.approx(time.time_ns() // 1_000 - 10 * DAY_US, abs=60_000_000)
    assert {"lapsed", "relation:dormant:acme"} < segments_of(asleep)
    await happen(profile, event(common.BEHAVIOUR_FAVOURITE, 0))
    awake = await read(profile)
    assert {"lapsed", "relation:weak:acme"} < segments_of(awake)
    assert "relation:dormant:acme" not in segments_of(awake)
    assert {one.name: one.text for one in awake.attributes if one.derived} == {
        "ladder": "collector",
        "aarrr_stage": "revenue",
    }
    await happen(profile, event(common.BEHAVIOUR_ORDER, 0))
    bought = await read(profile)
    assert [(one.stage, one.aipl) for one in bought.relations] == [(pb.RELATION_STAGE_STRONG, pb.AIPL_STAGE_LOYAL)]


async def test_read_after_late_and_repeated_events_tells_the_same_stage(profile: "ProfileServiceAsyncStub") -> None:
    await happen(profile, event(common.BEHAVIOUR_ORDER, 0), event(common.BEHAVIOUR_ORDER, 190))
    assert (await read(profile)).relations[0].stage == pb.RELATION_STAGE_STRONG
    await happen(profile, event(common.BEHAVIOUR_ORDER, 100))
    again = pb.IngestEventsRequest(events=[event(common.BEHAVIOUR_ORDER, 100)])
    assert (await profile.IngestEvents(again)).results[0].outcome == pb.INGEST_OUTCOME_DUPLICATE
    assert (await read(profile)).relations[0].stage == pb.RELATION_STAGE_LONG


async def test_it_is_explained_why_a_person_is_dormant(profile: "ProfileServiceAsyncStub") -> None:
    await happen(profile, event(common.BEHAVIOUR_ORDER, 100))
    request = pb.ExplainProfileRequest(
        person=common.PersonRef(person_id=7), purpose=common.PURPOSE_TARGETING, consent=consent()
    )
    answer = await profile.ExplainProfile(request)
    found = {one.subject: one for one in answer.explanations}
    assert set(found) == {"aarrr_stage", "segment:lapsed", "relation:acme", "aipl:acme"}
    why = found["relation:acme"]
    assert (why.value, answer.withheld_count) == ("dormant", 0)
    assert "not in the last 90 days" in why.rule
    assert {one.name: one.value for one in why.evidence}["orders"] == "1"
    assert {one.name: one.value for one in why.evidence}["last_impression_time"] == "never"
    assert to_us(why.until_time) == pytest.approx(time.time_ns() // 1_000 + 300 * DAY_US, abs=60_000_000)
    request.consent.CopyFrom(consent(common.DATA_CLASS_TRANSACTION))
    partly = await profile.ExplainProfile(request)
    assert [one.subject for one in partly.explanations] == ["segment:lapsed"]
    assert partly.withheld_count == 3
    request.person.person_id = 8
    assert await profile.ExplainProfile(request) == pb.ExplainProfileResponse()


async def test_explanation_of_nobody_or_for_nothing_is_refused_by_field(profile: "ProfileServiceAsyncStub") -> None:
    with pytest.raises(InvalidArgument) as caught:
        await profile.ExplainProfile(pb.ExplainProfileRequest())
    assert {one.field for one in caught.value.violations} == {"person", "purpose"}
