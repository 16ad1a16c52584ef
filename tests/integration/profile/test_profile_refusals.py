"""Bad input to every call of profile that writes: a typed error that names the field, and nothing half-applied."""

import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.edge_journal import DATASET as EDGES
from bihuan_profile.journal import ATTRIBUTES, BEHAVIOUR, OPEN_ERASURES
from bihuan_shared.clock import DAY_US, HOUR_US, to_timestamp
from bihuan_shared.errors import FailedPrecondition, InvalidArgument
from bihuan_shared.lake import open_lake

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CONSENT = common.Consent(
    purposes=[common.PURPOSE_TARGETING],
    data_classes=[
        common.DATA_CLASS_REGISTRATION,
        common.DATA_CLASS_OPERATION,
        common.DATA_CLASS_TRANSACTION,
        common.DATA_CLASS_SOCIAL,
    ],
)
NO_PURPOSE, NO_CLASS = common.Purpose.ValueType(99), common.DataClass.ValueType(99)
GOOD, BAD, GONE = 7, 8, 9
NOW_US = time.time_ns() // 1_000


def person(person_id: int) -> common.PersonRef:
    return common.PersonRef(person_id=person_id)


def event(person_id: int = BAD, event_id: str = "bad", **changes: Any) -> pb.BehaviourEvent:
    whole: dict[str, Any] = {
        "event_id": event_id,
        "person": person(person_id),
        "behaviour": common.BEHAVIOUR_VIEW,
        "consent": CONSENT,
        "tags": ["category:tea"],
        **changes,
    }
    return pb.BehaviourEvent(**{name: value for name, value in whole.items() if value is not None})


def fact(person_id: int = BAD, *, origin: str = "", **changes: Any) -> pb.AttributeUpdate:
    attribute = pb.Attribute(**{"name": "region", "text": "CH-ZH", **changes})
    return pb.AttributeUpdate(person=person(person_id), origin=origin, attributes=[attribute])


def edge(person_id: int = BAD, other_id: int = 40, **changes: Any) -> pb.SocialEdge:
    whole = {"strength": 0.5, "consent": CONSENT, **changes}
    return pb.SocialEdge(person=person(person_id), other=person(other_id), **whole)


def tag(**changes: Any) -> pb.Tag:
    whole: dict[str, Any] = {
        "name": "acme.good",
        "type": pb.TAG_TYPE_NUMBER,
        "data_class": common.DATA_CLASS_TRANSACTION,
        "purposes": [common.PURPOSE_TARGETING],
        **changes,
    }
    return pb.Tag(**whole)


class Service:
    """The service, its lake, and what it holds of anybody here."""

    def __init__(self, stub: "ProfileServiceAsyncStub", lake: Path) -> None:
        self.stub, self.lake = stub, open_lake(str(lake))

    async def held(self) -> list[tuple[str, str]]:
        found = []
        for person_id in (GOOD, BAD):
            async for part in self.stub.ExportProfile(pb.ExportProfileRequest(person=person(person_id))):
                found += [(record.kind, record.name) for record in part.records]
        listed = await self.stub.ListTags(pb.ListTagsRequest(advertiser_id="acme"))
        return found + [("tag", one.name) for one in listed.tags if one.advertiser_id]

    def files(self) -> int:
        return sum(len(self.lake.list(one)) for one in (BEHAVIOUR, ATTRIBUTES, EDGES, OPEN_ERASURES))


@pytest.fixture
async def service(start: Start, any_redis_url: str, tmp_path: Path) -> Service:
    return Service(await start(any_redis_url), tmp_path / "lake")


EVENTS = [
    (event(event_id=""), "events[1].event_id"),
    (event(event_id="x" * 129), "events[1].event_id"),
    (event(person_id=0), "events[1].person.person_id"),
    (event(behaviour=0), "events[1].behaviour"),
    (event(behaviour=99), "events[1].behaviour"),
    (event(tags=["\x00"]), "events[1].tags[0]"),
    (event(tags=["x" * 97]), "events[1].tags[0]"),
    (event(tags=["a"] * 65), "events[1].tags"),
    (event(amount=common.Money(currency="USD", micros=-1)), "events[1].amount.micros"),
    (event(amount=common.Money(currency="dollars", micros=1)), "events[1].amount.currency"),
    (event(items=[common.PurchasedItem(category="tea")] * 65), "events[1].items"),
    (event(consent=common.Consent(purposes=[NO_PURPOSE])), "events[1].consent.purposes[0]"),
    (
        event(consent=common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[NO_CLASS])),
        "events[1].consent.data_classes[0]",
    ),
]


@pytest.mark.parametrize(("bad", "field"), EVENTS, ids=[f"{field}-{at}" for at, (_, field) in enumerate(EVENTS)])
async def test_a_malformed_event_refuses_the_whole_batch_and_is_named(
    service: Service, bad: pb.BehaviourEvent, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.IngestEvents(pb.IngestEventsRequest(events=[event(GOOD, "good"), bad]))
    assert field in [one.field for one in refused.value.violations]
    assert (await service.held(), service.files()) == ([], 0)


async def test_events_out_of_time_without_consent_or_of_an_erased_person_are_rejected_one_by_one(
    service: Service,
) -> None:
    await service.stub.DeleteProfile(pb.DeleteProfileRequest(person=person(GONE)))
    events = [
        event(GOOD, "good"),
        event(event_id="ahead", event_time=to_timestamp(NOW_US + HOUR_US)),
        event(event_id="ancient", event_time=to_timestamp(NOW_US - 401 * DAY_US)),
        event(event_id="none", consent=None),
        event(event_id="nothing", consent=common.Consent(data_classes=[common.DATA_CLASS_OPERATION])),
        event(GONE, "gone"),
        event(GOOD, "good"),
    ]
    results = (await service.stub.IngestEvents(pb.IngestEventsRequest(events=events))).results
    assert [(one.event_id, one.reason) for one in results] == [
        ("good", ""),
        ("ahead", "TIME_OUT_OF_RANGE"),
        ("ancient", "TIME_OUT_OF_RANGE"),
        ("none", "NO_CONSENT"),
        ("nothing", "NO_CONSENT"),
        ("gone", "PERSON_ERASED"),
        ("good", ""),
    ]
    assert results[6].outcome == pb.INGEST_OUTCOME_DUPLICATE
    assert [name for kind, name in await service.held() if kind == "event"] == ["good"]


FACTS = [
    (fact(name="no_such_tag"), "updates[1].attributes[0].name"),
    (fact(name="acme.no_such_tag"), "updates[1].attributes[0].name"),
    (fact(name="interest"), "updates[1].attributes[0].name"),
    (fact(name="ladder", text="creator"), "updates[1].attributes[0].name"),
    (fact(name="Region"), "updates[1].attributes[0].name"),
    (fact(flag=True), "updates[1].attributes[0].flag"),
    (fact(number=1), "updates[1].attributes[0].number"),
    (fact(name="age", text="17 and a half"), "updates[1].attributes[0].text"),
    (fact(text=""), "updates[1].attributes[0].text"),
    (fact(text="x" * 129), "updates[1].attributes[0].text"),
    (fact(update_time=to_timestamp(NOW_US + HOUR_US)), "updates[1].attributes[0].update_time"),
    (fact(update_time=to_timestamp(NOW_US - 1_100 * DAY_US)), "updates[1].attributes[0].update_time"),
    (fact(update_time=to_timestamp(-1)), "updates[1].attributes[0].update_time"),
    (fact(origin="x" * 65), "updates[1].origin"),
    (fact(person_id=0), "updates[1].person.person_id"),
    (pb.AttributeUpdate(person=person(BAD)), "updates[1].attributes"),
    (pb.AttributeUpdate(person=person(BAD), attributes=[pb.Attribute(name="age")]), "updates[1].attributes[0].value"),
]


@pytest.mark.parametrize(("bad", "field"), FACTS, ids=[f"{field}-{at}" for at, (_, field) in enumerate(FACTS)])
async def test_a_wrong_attribute_refuses_the_whole_batch_and_is_named(
    service: Service, bad: pb.AttributeUpdate, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.SetAttributes(pb.SetAttributesRequest(updates=[fact(GOOD), bad]))
    assert field in [one.field for one in refused.value.violations]
    assert (await service.held(), service.files()) == ([], 0)


async def test_a_check_alone_refuses_the_same_and_sets_nothing(service: Service) -> None:
    request = pb.SetAttributesRequest(updates=[fact(GOOD)], validate_only=True)
    assert (await service.stub.SetAttributes(request)).changed_count == 0
    request.updates.append(fact(name="no_such_tag"))
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.SetAttributes(request)
    assert [one.field for one in refused.value.violations] == ["updates[1].attributes[0].name"]
    assert (await service.held(), service.files()) == ([], 0)


async def test_an_attribute_of_an_erased_person_refuses_the_whole_batch(service: Service) -> None:
    await service.stub.DeleteProfile(pb.DeleteProfileRequest(person=person(GONE)))
    before = service.files()
    with pytest.raises(FailedPrecondition) as refused:
        await service.stub.SetAttributes(pb.SetAttributesRequest(updates=[fact(GOOD), fact(GONE)]))
    assert refused.value.reason == "PERSON_ERASED"
    assert (await service.held(), service.files()) == ([], before)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (edge(other_id=BAD), "edges[1].other"),
        (edge(person_id=0), "edges[1].person.person_id"),
        (edge(other_id=0), "edges[1].other.person_id"),
        (edge(strength=math.nan), "edges[1].strength"),
        (edge(strength=1.5), "edges[1].strength"),
        (edge(strength=-0.1), "edges[1].strength"),
        (
            edge(consent=common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[NO_CLASS])),
            "edges[1].consent.data_classes[0]",
        ),
    ],
)
async def test_a_malformed_relation_refuses_the_whole_batch_and_is_named(
    service: Service, bad: pb.SocialEdge, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.PutSocialEdges(pb.PutSocialEdgesRequest(edges=[edge(GOOD), bad]))
    assert field in [one.field for one in refused.value.violations]
    assert (await service.held(), service.files()) == ([], 0)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (tag(name="globex.bad"), "tags[1].name"),
        (tag(name="acme.good"), "tags[1].name"),
        (tag(name="acme.bad#1"), "tags[1].name"),
        (tag(name="acme.bad", type=pb.TAG_TYPE_INTEREST), "tags[1].type"),
        (tag(name="acme.bad", type=0), "tags[1].type"),
        (tag(name="acme.bad", data_class=common.DATA_CLASS_SOCIAL), "tags[1].data_class"),
        (tag(name="acme.bad", data_class=99), "tags[1].data_class"),
        (tag(name="acme.bad", purposes=[]), "tags[1].purposes"),
        (tag(name="acme.bad", purposes=[99]), "tags[1].purposes[0]"),
        (tag(name="acme.bad", retention_days=-1), "tags[1].retention_days"),
        (tag(name="acme.bad", half_life_days=math.inf), "tags[1].half_life_days"),
        (tag(name="acme.bad", life=-1), "tags[1].life"),
    ],
)
async def test_a_wrong_tag_refuses_the_whole_batch_and_is_named(service: Service, bad: pb.Tag, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.PutTags(pb.PutTagsRequest(advertiser_id="acme", tags=[tag(), bad]))
    assert field in [one.field for one in refused.value.violations]
    assert await service.held() == []


async def test_a_strange_name_ends_no_tag(service: Service) -> None:
    await service.stub.PutTags(pb.PutTagsRequest(advertiser_id="acme", tags=[tag()]))
    for strange in ("globex.bad", "", "age"):
        ended = [pb.DeletedTag(name="acme.good"), pb.DeletedTag(name=strange)]
        with pytest.raises(InvalidArgument) as refused:
            await service.stub.DeleteTags(pb.DeleteTagsRequest(advertiser_id="acme", tags=ended))
        assert [one.field for one in refused.value.violations] == ["tags[1].name"]
    assert await service.held() == [("tag", "acme.good")]


async def test_oversized_batches_are_refused_whole_by_the_name_of_the_list(service: Service) -> None:
    stub = service.stub
    calls: list[tuple[Callable[[Any], Awaitable[object]], Any, str]] = [
        (
            stub.IngestEvents,
            pb.IngestEventsRequest(events=[event(GOOD, f"e{n}") for n in range(1_001)]),
            "events",
        ),
        (stub.SetAttributes, pb.SetAttributesRequest(updates=[fact(GOOD)] * 1_001), "updates"),
        (stub.PutSocialEdges, pb.PutSocialEdgesRequest(edges=[edge(GOOD)] * 1_001), "edges"),
        (
            stub.PutTags,
            pb.PutTagsRequest(advertiser_id="acme", tags=[tag(name=f"acme.t{n}") for n in range(257)]),
            "tags",
        ),
    ]
    for call, request, field in calls:
        with pytest.raises(InvalidArgument) as refused:
            await call(request)
        assert [one.field for one in refused.value.violations] == [field]
        with pytest.raises(InvalidArgument):
            await call(type(request)())
    assert (await service.held(), service.files()) == ([], 0)


async def test_nobody_is_erased_by_an_empty_reference_and_an_unknown_person_is_nothing(service: Service) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.stub.DeleteProfile(pb.DeleteProfileRequest())
    assert [one.field for one in refused.value.violations] == ["person"]
    assert not (await service.stub.DeleteProfile(pb.DeleteProfileRequest(person=person(4_711)))).deleted
    request = pb.GetProfileRequest(person=person(4_712), purpose=common.PURPOSE_TARGETING, consent=CONSENT)
    assert not (await service.stub.GetProfile(request)).profile.attributes
