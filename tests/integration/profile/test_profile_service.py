"""Every call of the profile service over a socket."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.callers import Role
from bihuan_shared.clock import DAY_US, MINUTE_US, to_timestamp
from bihuan_shared.embedded import EmbeddedValkey
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotYet, PermissionDenied, Unavailable

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CONSENT = common.Consent(
    purposes=[common.PURPOSE_TARGETING],
    data_classes=[common.DATA_CLASS_REGISTRATION, common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION],
)


def now_us() -> int:
    return time.time_ns() // 1_000


def person(person_id: int = 7) -> common.PersonRef:
    return common.PersonRef(person_id=person_id)


def order(event_id: str = "order:1", *, age_us: int = 0, consent: common.Consent = CONSENT) -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=event_id,
        person=person(),
        behaviour=common.BEHAVIOUR_ORDER,
        event_time=to_timestamp(now_us() - age_us),
        tags=["category:tea"],
        amount=common.Money(currency="USD", micros=12_500_000),
        consent=consent,
    )


def ask(person_id: int = 7) -> pb.GetProfileRequest:
    return pb.GetProfileRequest(person=person(person_id), purpose=common.PURPOSE_TARGETING, consent=CONSENT)


def age(text: str = "25-34", person_id: int = 7) -> pb.AttributeUpdate:
    return pb.AttributeUpdate(person=person(person_id), attributes=[pb.Attribute(name="age", text=text)])


@pytest.fixture
async def profile(start: Start, redis_url: str) -> "ProfileServiceAsyncStub":
    return await start(redis_url)


async def test_what_is_ingested_and_set_is_visible_to_the_next_read(profile: "ProfileServiceAsyncStub") -> None:
    ingested = await profile.IngestEvents(pb.IngestEventsRequest(events=[order(), order()]))
    assert [(r.event_id, r.outcome) for r in ingested.results] == [
        ("order:1", pb.INGEST_OUTCOME_ACCEPTED),
        ("order:1", pb.INGEST_OUTCOME_DUPLICATE),
    ]
    changed = await profile.SetAttributes(pb.SetAttributesRequest(updates=[age(), age("35-44", 8)]))
    assert changed.changed_count == 2
    told = (await profile.GetProfile(ask())).profile
    assert told.person_id == 7
    assert [(a.name, a.text, a.data_class, a.derived) for a in told.attributes] == [
        ("age", "25-34", common.DATA_CLASS_REGISTRATION, False),
        ("aarrr_stage", "revenue", common.DATA_CLASS_TRANSACTION, True),
    ]
    assert [i.tag for i in told.interests] == ["category:tea"]
    assert told.interests[0].long_term == pytest.approx(1.0, rel=1e-3)
    assert [(a.behaviour, a.total) for a in told.activities] == [(common.BEHAVIOUR_ORDER, 1)]
    assert told.rfm.frequency == 1
    assert told.rfm.monetary == [common.Money(currency="USD", micros=12_500_000)]
    assert told.rfm.monetary_decayed_micros == pytest.approx(12_500_000, rel=1e-3)
    assert (told.withheld_count, told.empty) == (0, False)


async def test_batch_read_answers_in_order_by_each_query_s_own_consent(profile: "ProfileServiceAsyncStub") -> None:
    await profile.SetAttributes(pb.SetAttributesRequest(updates=[age(), age("35-44", 8)]))
    queries = [
        pb.ProfileQuery(person=person(8), purpose=common.PURPOSE_TARGETING, consent=CONSENT),
        pb.ProfileQuery(person=person(7), purpose=common.PURPOSE_TARGETING),
        pb.ProfileQuery(person=person(9), purpose=common.PURPOSE_TARGETING, consent=CONSENT),
        pb.ProfileQuery(person=person(7), purpose=common.PURPOSE_TARGETING, consent=CONSENT),
    ]
    answer = await profile.BatchGetProfiles(pb.BatchGetProfilesRequest(queries=queries))
    assert [p.person_id for p in answer.profiles] == [8, 7, 9, 7]
    assert [[a.text for a in p.attributes] for p in answer.profiles] == [["35-44"], [], [], ["25-34"]]
    assert [(p.withheld_count, p.empty) for p in answer.profiles] == [(0, False), (1, False), (0, True), (0, False)]


async def test_event_without_consent_or_out_of_time_is_rejected_with_its_reason(
    profile: "ProfileServiceAsyncStub",
) -> None:
    events = [
        order("a", consent=common.Consent(data_classes=[common.DATA_CLASS_OPERATION])),
        order("b", age_us=-6 * MINUTE_US),
        order("c", age_us=401 * DAY_US),
        order("d", age_us=-4 * MINUTE_US),
        order("e", age_us=399 * DAY_US),
    ]
    answer = await profile.IngestEvents(pb.IngestEventsRequest(events=events))
    rejected = pb.INGEST_OUTCOME_REJECTED
    assert [(r.outcome, r.reason) for r in answer.results] == [
        (rejected, "NO_CONSENT"),
        (rejected, "TIME_OUT_OF_RANGE"),
        (rejected, "TIME_OUT_OF_RANGE"),
        (pb.INGEST_OUTCOME_ACCEPTED, ""),
        (pb.INGEST_OUTCOME_ACCEPTED, ""),
    ]


async def test_one_wrong_attribute_refuses_the_whole_request(profile: "ProfileServiceAsyncStub") -> None:
    updates = [age(), pb.AttributeUpdate(person=person(8), attributes=[pb.Attribute(name="birth_year", text="1980")])]
    with pytest.raises(InvalidArgument) as caught:
        await profile.SetAttributes(pb.SetAttributesRequest(updates=updates))
    assert [violation.field for violation in caught.value.violations] == ["updates[1].attributes[0].text"]
    assert (await profile.GetProfile(ask())).profile.empty


async def test_attribute_learnt_in_the_future_is_refused(profile: "ProfileServiceAsyncStub") -> None:
    update = age()
    update.attributes[0].update_time.CopyFrom(to_timestamp(now_us() + DAY_US))
    with pytest.raises(InvalidArgument) as caught:
        await profile.SetAttributes(pb.SetAttributesRequest(updates=[update]))
    assert caught.value.reason == "TIME_OUT_OF_RANGE"
    assert caught.value.violations[0].field == "updates[0].attributes[0].update_time"


@pytest.mark.parametrize(
    ("method", "request_message", "field"),
    [
        ("GetProfile", pb.GetProfileRequest(purpose=common.PURPOSE_TARGETING), "person"),
        ("GetProfile", pb.GetProfileRequest(person=person()), "purpose"),
        ("BatchGetProfiles", pb.BatchGetProfilesRequest(), "queries"),
        ("IngestEvents", pb.IngestEventsRequest(), "events"),
        ("IngestEvents", pb.IngestEventsRequest(events=[pb.BehaviourEvent(event_id="a")]), "events[0].person"),
        (
            "SetAttributes",
            pb.SetAttributesRequest(updates=[pb.AttributeUpdate(person=person())]),
            "updates[0].attributes",
        ),
        ("ScanProfiles", pb.ScanProfilesRequest(), "purpose"),
        ("DeleteProfile", pb.DeleteProfileRequest(), "person"),
    ],
)
async def test_malformed_request_names_the_field(
    profile: "ProfileServiceAsyncStub", method: str, request_message: object, field: str
) -> None:
    async def answer() -> None:
        call = getattr(profile, method)(request_message)
        if method == "ScanProfiles":
            _ = [part async for part in call]
        else:
            await call

    with pytest.raises(InvalidArgument) as caught:
        await answer()
    assert field in {violation.field for violation in caught.value.violations}


async def test_wrong_amounts_and_tags_of_events_are_named(profile: "ProfileServiceAsyncStub") -> None:
    wrong = order("b")
    wrong.amount.micros = -1
    wrong.tags.append("bad\ntag")
    wrong.tags.append(" ")
    with pytest.raises(InvalidArgument) as caught:
        await profile.IngestEvents(pb.IngestEventsRequest(events=[order("a"), wrong]))
    assert {violation.field for violation in caught.value.violations} == {
        "events[1].amount.micros",
        "events[1].tags[1]",
        "events[1].tags[2]",
    }
    assert (await profile.GetProfile(ask())).profile.empty


async def test_scan_streams_everyone(profile: "ProfileServiceAsyncStub") -> None:
    updates = [age(person_id=person_id) for person_id in range(1, 801)]
    await profile.SetAttributes(pb.SetAttributesRequest(updates=updates))
    request = pb.ScanProfilesRequest(purpose=common.PURPOSE_TARGETING)
    parts = [part async for part in profile.ScanProfiles(request)]
    assert all(len(part.profiles) <= 500 for part in parts)
    assert sorted(p.person_id for part in parts for p in part.profiles) == list(range(1, 801))


async def test_erased_profile_is_gone_and_stays_gone(profile: "ProfileServiceAsyncStub") -> None:
    await profile.IngestEvents(pb.IngestEventsRequest(events=[order()]))
    erase = pb.DeleteProfileRequest(person=person())
    assert (await profile.DeleteProfile(erase)).deleted
    assert not (await profile.DeleteProfile(erase)).deleted
    assert (await profile.GetProfile(ask())).profile.empty
    late = await profile.IngestEvents(pb.IngestEventsRequest(events=[order("later")]))
    assert (late.results[0].outcome, late.results[0].reason) == (pb.INGEST_OUTCOME_REJECTED, "PERSON_ERASED")
    with pytest.raises(FailedPrecondition) as caught:
        await profile.SetAttributes(pb.SetAttributesRequest(updates=[age("25-34", 8), age()]))
    assert caught.value.reason == "PERSON_ERASED"
    assert (await profile.GetProfile(ask(8))).profile.empty


async def test_tags_are_listed_to_partners_too(start: Start, redis_url: str) -> None:
    stub = await start(redis_url, Role.PARTNER)
    tags = (await stub.ListTags(pb.ListTagsRequest())).tags
    assert [tag.name for tag in tags] == [tag.name for tag in packaged_taxonomy().tags]
    gender = next(tag for tag in tags if tag.name == "gender")
    assert (gender.type, gender.data_class) == (pb.TAG_TYPE_TEXT, common.DATA_CLASS_REGISTRATION)
    assert list(gender.values) == ["f", "m", "x"]


async def test_partners_neither_name_persons_by_id_nor_write(start: Start, redis_url: str) -> None:
    stub = await start(redis_url, Role.PARTNER)
    with pytest.raises(PermissionDenied):
        await stub.GetProfile(ask())
    with pytest.raises(PermissionDenied):
        await stub.IngestEvents(pb.IngestEventsRequest(events=[order()]))
    with pytest.raises(NotYet):
        await stub.GetProfile(
            pb.GetProfileRequest(person=common.PersonRef(person_token="t"), purpose=common.PURPOSE_TARGETING)
        )


async def test_restart_keeps_profiles(start: Start, tmp_path: Path) -> None:
    server = EmbeddedValkey.start(tmp_path)
    stub = await start(server.url)
    await stub.IngestEvents(pb.IngestEventsRequest(events=[order()]))
    server.stop()
    with pytest.raises(Unavailable):
        await stub.GetProfile(ask())
    server = EmbeddedValkey.start(tmp_path, server.port)
    again = await start(server.url)
    assert (await again.GetProfile(ask())).profile.rfm.frequency == 1
    assert (await stub.GetProfile(ask())).profile.rfm.frequency == 1
    server.stop()


async def test_relations_are_taken_in_under_social_consent_and_name_their_faults(
    profile: "ProfileServiceAsyncStub",
) -> None:
    social = common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_SOCIAL])
    good = pb.SocialEdge(person=person(1), other=person(2), strength=0.5, consent=social)
    silent = pb.SocialEdge(person=person(1), other=person(2), strength=0.5, consent=CONSENT)
    answer = await profile.PutSocialEdges(pb.PutSocialEdgesRequest(edges=[good, silent]))
    assert [(one.outcome, one.reason) for one in answer.results] == [
        (pb.INGEST_OUTCOME_ACCEPTED, ""),
        (pb.INGEST_OUTCOME_REJECTED, "NO_CONSENT"),
    ]
    itself = pb.SocialEdge(person=person(1), other=person(1), strength=1.5, consent=social)
    with pytest.raises(InvalidArgument) as caught:
        await profile.PutSocialEdges(pb.PutSocialEdgesRequest(edges=[good, itself]))
    assert [one.field for one in caught.value.violations] == ["edges[1].other", "edges[1].strength"]


async def test_what_was_bought_is_told_as_owned(profile: "ProfileServiceAsyncStub") -> None:
    bought = order()
    bought.items.add(category="shoes", brand="acme", size="42", quantity=2)
    await profile.IngestEvents(pb.IngestEventsRequest(events=[bought]))
    told = (await profile.GetProfile(ask())).profile
    assert [(one.category, one.brand, one.size, one.quantity) for one in told.owned_items] == [
        ("shoes", "acme", "42", 2)
    ]
    assert [(one.category, one.size, one.share) for one in told.preferred_sizes] == [("shoes", "42", 1.0)]
