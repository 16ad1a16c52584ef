"""Late findings of invalid traffic."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StringConstraints

from bihuan_gateway.control.fields import Spec
from bihuan_gateway.control.findings import InvalidEvent
from bihuan_gateway.routes.wire import Caller, Control, Key, control_router
from bihuan_shared.errors import InvalidArgument

router = control_router("invalid traffic")


class InvalidEventSpec(Spec):
    """An event that turned out to be no traffic of people."""

    event_type: Literal["impression", "viewable", "click"]
    event_id: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class FindingCreate(Spec):
    """A finding. The idempotency key names it, forever."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
    events: Annotated[list[InvalidEventSpec], Field(min_length=1, max_length=1000)]


class FindingView(BaseModel):
    """What a finding did; the counts sum up to its events."""

    finding_id: str
    credited_count: int
    unchanged_count: int
    unknown_count: int
    credited_nanos: dict[str, int]


@router.post("/v1/invalid-traffic", status_code=201, response_model=FindingView)
async def report_invalid_traffic(
    body: FindingCreate, control: Control, caller: Caller, key: Key = None
) -> JSONResponse:
    """Credit events that turned out to be invalid (admin). `Idempotency-Key` is required: it is the finding's id."""
    if key is None:
        raise InvalidArgument.of("/header/idempotency-key", "is required: it names the finding")
    events = [InvalidEvent(one.event_type, one.event_id) for one in body.events]
    outcome = await control.findings.report(caller, key, body.reason, events)
    return JSONResponse({"finding_id": key, **asdict(outcome)}, status_code=201)
