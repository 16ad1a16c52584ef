"""Identity and profile as the loader sees them: in memory, with the faults that tests ask for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_cli.bulk.rows import RowReader
from bihuan_shared.clock import format_rfc3339, to_us
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, Unavailable

NOW_US = 1_790_000_000_123_000
READER = RowReader({"gender": pb.TAG_TYPE_TEXT, "birth_year": pb.TAG_TYPE_NUMBER, "newsletter": pb.TAG_TYPE_FLAG})
EVENT: dict[str, object] = {
    "namespace": "login",
    "identifier": "somebody",
    "event_id": "e1",
    "behaviour": "view",
    "event_time": format_rfc3339(NOW_US),
    "consent_purposes": "targeting|measurement",
}
FACT: dict[str, object] = {
    "person_id": "7",
    "attribute": "gender",
    "value": "f",
    "update_time": str(NOW_US),
    "consent_purposes": "targeting",
}
ERASED = 666
"""A person whom the fake has erased."""
GENDERS = ("f", "m", "x")


@dataclass(slots=True)
class FakeServices:
    """Both services. `before` is called with the number of every call, and may raise."""

    before: Callable[[int], None] = lambda _: None
    persons: dict[tuple[str, str], int] = field(default_factory=dict)
    events: dict[tuple[int, str], pb.BehaviourEvent] = field(default_factory=dict)
    attributes: dict[tuple[int, str], tuple[int, str]] = field(default_factory=dict)
    calls: int = 0

    def _called(self) -> None:
        self.calls += 1
        self.before(self.calls)

    async def BatchResolve(  # noqa: N802
        self, request: identity_pb2.BatchResolveRequest, **_: object
    ) -> identity_pb2.BatchResolveResponse:
        """Raw identifiers that begin with `bad` are refused, at most 32 of them named."""
        self._called()
        names = [(item.identifiers[0].namespace, item.identifiers[0].value) for item in request.items]
        wrong = [
            FieldViolation(f"items[{place}].identifiers[0].value", "is not of the form that the namespace asks for")
            for place, (_, value) in enumerate(names)
            if value.startswith("bad")
        ][:32]
        if wrong:
            raise InvalidArgument("wrong", *wrong)
        return identity_pb2.BatchResolveResponse(
            results=[
                identity_pb2.ResolveResult(person_id=self.persons.setdefault(name, 1_000 + crc32(name[1].encode())))
                for name in names
            ]
        )

    async def IngestEvents(self, request: pb.IngestEventsRequest, **_: object) -> pb.IngestEventsResponse:  # noqa: N802
        """Rejects what is older than 1971; refuses tags that are too long."""
        self._called()
        wrong = [
            FieldViolation(f"events[{place}].tags[0]", "is longer than 96 bytes")
            for place, event in enumerate(request.events)
            if any(len(tag) > 96 for tag in event.tags)
        ][:32]
        if wrong:
            raise InvalidArgument("wrong", *wrong)
        return pb.IngestEventsResponse(results=[self._ingest(event) for event in request.events])

    def _ingest(self, event: pb.BehaviourEvent) -> pb.IngestResult:
        if event.event_time.seconds < 365 * 86_400:
            return pb.IngestResult(outcome=pb.INGEST_OUTCOME_REJECTED, reason="TIME_OUT_OF_RANGE")
        key = (event.person.person_id, event.event_id)
        if key in self.events:
            return pb.IngestResult(outcome=pb.INGEST_OUTCOME_DUPLICATE)
        self.events[key] = event
        return pb.IngestResult(outcome=pb.INGEST_OUTCOME_ACCEPTED)

    async def SetAttributes(self, request: pb.SetAttributesRequest, **_: object) -> pb.SetAttributesResponse:  # noqa: N802
        """All or nothing: wrong genders are named, an erased person is not."""
        self._called()
        wrong = [
            FieldViolation(f"updates[{place}].attributes[0].text", "must be one of: f, m, x")
            for place, update in enumerate(request.updates)
            if update.attributes[0].name == "gender" and update.attributes[0].text not in GENDERS
        ][:32]
        if wrong:
            raise InvalidArgument("wrong", *wrong)
        if any(update.person.person_id == ERASED for update in request.updates):
            raise FailedPrecondition("erased", reason="PERSON_ERASED")
        for update in request.updates:
            attribute = update.attributes[0]
            key, told = (update.person.person_id, attribute.name), (to_us(attribute.update_time), attribute.text)
            self.attributes[key] = max(self.attributes.get(key, told), told)
        return pb.SetAttributesResponse(changed_count=len(request.updates))


def away(*calls: int) -> Callable[[int], None]:
    """The calls of these numbers find nobody there."""

    def before(number: int) -> None:
        if number in calls:
            raise Unavailable("away")

    return before
