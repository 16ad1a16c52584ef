"""Profile over gRPC."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_gateway.data.hops.coalescer import Coalescer
from bihuan_gateway.data.hops.wire import consent_message
from bihuan_gateway.data.ports import Behaviour, Consent, Fact, IngestOutcome, ProfileView, Resolved, Value
from bihuan_shared.clock import to_timestamp
from bihuan_shared.profile_segments import segments_of

if TYPE_CHECKING:  # stubs of asyncio exist for type checkers only
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

_OUTCOMES = {
    profile_pb2.INGEST_OUTCOME_ACCEPTED: IngestOutcome.ACCEPTED,
    profile_pb2.INGEST_OUTCOME_DUPLICATE: IngestOutcome.DUPLICATE,
}

_Query = tuple[int, Consent, tuple[str, ...]]


class ServedProfile:
    """
    A profile as it came over the wire; the message goes on to scoring unchanged.

    But for private attributes, which serve their advertiser's own targeting alone: these are taken out of the message.
    """

    __slots__ = ("_attributes", "_interests", "_segments", "message")

    def __init__(self, message: profile_pb2.Profile, *, may_be_private: bool = False) -> None:
        self.message = message
        self._attributes: dict[str, Value] | None = None
        if may_be_private and any("." in item.name for item in message.attributes):
            self._attributes = _values(message.attributes)
            shared = [item for item in message.attributes if "." not in item.name]
            del message.attributes[:]
            message.attributes.extend(shared)
        self._interests: dict[str, tuple[float, float]] | None = None
        self._segments: frozenset[str] | None = None

    def attribute(self, name: str) -> Value | None:
        """Return the value of an attribute."""
        if self._attributes is None:
            self._attributes = _values(self.message.attributes)
        return self._attributes.get(name)

    def interest(self, tag: str) -> float:
        """Return the long-term interest in a tag."""
        return self._interest(tag)[0]

    def instant_interest(self, tag: str) -> float:
        """Return the interest in a tag that the last minutes show."""
        return self._interest(tag)[1]

    def _interest(self, tag: str) -> tuple[float, float]:
        if self._interests is None:
            self._interests = {item.tag: (item.long_term, item.instant) for item in self.message.interests}
        return self._interests.get(tag, (0.0, 0.0))

    def in_segment(self, segment_id: str) -> bool:
        """Tell whether the person is in a rule-made segment, those that relations to brands make among them."""
        if self._segments is None:
            self._segments = segments_of(self.message)
        return segment_id in self._segments

    def record(self) -> bytes:
        """Return the serialized message."""
        serialized: bytes = self.message.SerializeToString()
        return serialized


_ANYBODY = common_pb2.PersonRef(person_id=1)
"""Stands where a person has to be named and is not looked at."""


class GrpcProfiles:
    """Implements the port `Profiles`."""

    def __init__(self, stub: "ProfileServiceAsyncStub", *, timeout_s: float) -> None:
        self._stub = stub
        self._read = Coalescer[_Query, ProfileView](self._read_many, timeout_s=timeout_s)

    async def read(self, person_id: int, consent: Consent, advertiser_ids: tuple[str, ...]) -> ProfileView:
        """Return what TARGETING may know about a person; merged with other calls."""
        return await self._read.ask_one((person_id, consent, advertiser_ids))

    async def ingest(self, events: Sequence[Behaviour]) -> list[tuple[IngestOutcome, str]]:
        """Take in up to 1,000 events; one outcome and reason an event, in order."""
        consents = {event.consent: consent_message(event.consent) for event in events}
        request = profile_pb2.IngestEventsRequest(events=[_event(event, consents[event.consent]) for event in events])
        response = await self._stub.IngestEvents(request)
        return [(_OUTCOMES.get(result.outcome, IngestOutcome.REJECTED), result.reason) for result in response.results]

    async def check_attributes(self, updates: Sequence[Sequence[Fact]]) -> None:
        """Raise InvalidArgument where attributes of up to 1,000 persons, whoever they are, would be refused."""
        request = profile_pb2.SetAttributesRequest(
            updates=[
                profile_pb2.AttributeUpdate(person=_ANYBODY, attributes=[_attribute(fact) for fact in facts])
                for facts in updates
            ],
            validate_only=True,
        )
        await self._stub.SetAttributes(request)

    async def set_attributes(self, updates: Sequence[tuple[Resolved, Sequence[Fact]]]) -> int:
        """Set attributes of up to 1,000 persons, all or none, and return how many changed."""
        request = profile_pb2.SetAttributesRequest(
            updates=[
                profile_pb2.AttributeUpdate(
                    person=common_pb2.PersonRef(person_id=person.person_id),
                    attributes=[_attribute(fact) for fact in facts],
                    sighting_id=person.sighting_id,
                )
                for person, facts in updates
            ]
        )
        changed: int = (await self._stub.SetAttributes(request)).changed_count
        return changed

    async def close(self) -> None:
        """Wait for the calls in flight."""
        await self._read.close()

    async def _read_many(self, queries: Sequence[_Query]) -> list[ProfileView]:
        distinct = list(dict.fromkeys(queries))
        request = profile_pb2.BatchGetProfilesRequest(
            queries=[
                profile_pb2.ProfileQuery(
                    person=common_pb2.PersonRef(person_id=person_id),
                    purpose=common_pb2.PURPOSE_TARGETING,
                    consent=consent_message(consent),
                    advertiser_ids=advertiser_ids,
                )
                for person_id, consent, advertiser_ids in distinct
            ]
        )
        response = await self._stub.BatchGetProfiles(request)
        found = {
            query: ServedProfile(profile, may_be_private=bool(query[2]))
            for query, profile in zip(distinct, response.profiles, strict=True)
        }
        return [found[query] for query in queries]


def _values(attributes: Iterable[profile_pb2.Attribute]) -> dict[str, Value]:
    return {item.name: getattr(item, kind) for item in attributes if (kind := item.WhichOneof("value"))}


def _event(event: Behaviour, consent: common_pb2.Consent) -> profile_pb2.BehaviourEvent:
    message = profile_pb2.BehaviourEvent(
        event_id=event.event_id,
        person=common_pb2.PersonRef(person_id=event.person.person_id),
        sighting_id=event.person.sighting_id,
        behaviour=common_pb2.Behaviour.Value(f"BEHAVIOUR_{event.name}"),
        tags=event.tags,
        consent=consent,
    )
    if event.event_time_us is not None:
        message.event_time.CopyFrom(to_timestamp(event.event_time_us))
    if event.amount is not None:
        message.amount.currency, message.amount.micros = event.amount
    return message


def _attribute(fact: Fact) -> profile_pb2.Attribute:
    message = profile_pb2.Attribute(name=fact.name)
    if isinstance(fact.value, bool):
        message.flag = fact.value
    elif isinstance(fact.value, str):
        message.text = fact.value
    else:
        message.number = fact.value
    if fact.update_time_us is not None:
        message.update_time.CopyFrom(to_timestamp(fact.update_time_us))
    return message
