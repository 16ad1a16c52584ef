"""Leads over a socket: scored in the background, listed while they are due, acknowledged."""

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, lead_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, SystemClock, to_timestamp
from bihuan_shared.errors import InvalidArgument

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

CALL_S = 10.0


def account(advertiser_id: str = "acme") -> terms_pb2.AdvertiserTerms:
    message = terms_pb2.AdvertiserTerms(
        advertiser_id=advertiser_id, version=1, currency="CNY", time_zone="Asia/Shanghai"
    )
    message.effective_time.CopyFrom(to_timestamp(SystemClock().now_us() - DAY_US))
    message.leads.threshold = 20
    message.leads.points.add(action="video", points=5)
    message.leads.points.add(action="form", points=15)
    return message


def action(event_id: str, name: str, person: int, reference: str = "") -> event_pb2.Event:
    kind = common_pb2.EVENT_TYPE_LEAD if name == "form" else common_pb2.EVENT_TYPE_ENGAGEMENT
    event = event_pb2.Event(event_type=kind, event_id=event_id)
    event.action.advertiser_id, event.action.name, event.action.reference = "acme", name, reference
    event.person.person_id = person
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    return event


async def due(served: "Served", count: int, route: int = lead_pb2.LEAD_ROUTE_UNSPECIFIED) -> list[lead_pb2.Lead]:
    """What is due once there are so many."""
    request = lead_pb2.ListLeadsRequest(due_only=True, route=route)  # type: ignore[arg-type]  # numbers of the wire
    deadline = time.monotonic() + CALL_S
    while True:
        leads = list((await served.stub.ListLeads(request, timeout=CALL_S)).leads)
        if len(leads) == count:
            return leads
        assert time.monotonic() < deadline, leads
        await asyncio.sleep(0.02)


async def test_leads_are_listed_while_they_are_due(served: "Served") -> None:
    stub = served.stub
    await stub.PutTerms(pb.PutTermsRequest(advertisers=[account()]), timeout=CALL_S)
    events = [action("e1", "video", 7), action("e2", "form", 7, "crm-1"), action("e3", "video", 9)]
    answered = await stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)
    assert {one.outcome for one in answered.results} == {event_pb2.EVENT_OUTCOME_ACCEPTED}
    (sales,) = await due(served, 1, lead_pb2.LEAD_ROUTE_SALES)
    assert (sales.points, sales.threshold, sales.person.person_id, sales.revision) == (20, 20, 7, 1)
    assert [(one.action, one.count, one.points) for one in sales.reasons] == [("video", 1, 5), ("form", 1, 15)]
    assert list(sales.references) == ["crm-1"]
    both = await due(served, 2)
    page = await stub.ListLeads(lead_pb2.ListLeadsRequest(page_size=1), timeout=CALL_S)
    rest = lead_pb2.ListLeadsRequest(page_size=1, page_token=page.next_page_token)
    following = await stub.ListLeads(rest, timeout=CALL_S)
    assert [*page.leads, *following.leads] == both
    assert following.next_page_token == ""
    delivered = [lead_pb2.DeliveredLead(lead_id=sales.lead_id, revision=1)]
    for _ in range(2):
        await stub.AcknowledgeLeads(lead_pb2.AcknowledgeLeadsRequest(leads=delivered), timeout=CALL_S)
    (nurtured,) = await due(served, 1)
    assert nurtured.route == lead_pb2.LEAD_ROUTE_NURTURE
    again = pb.RecordEventsRequest(events=[action("e4", "other", 7, ""), action("e5", "form", 9, "crm-2")])
    await stub.RecordEvents(again, timeout=CALL_S)
    (grown,) = await due(served, 1, lead_pb2.LEAD_ROUTE_SALES)
    assert (grown.person.person_id, grown.revision, grown.lead_id) == (9, 2, nurtured.lead_id)


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListLeads", lead_pb2.ListLeadsRequest(page_size=1_001), "page_size"),
        ("ListLeads", lead_pb2.ListLeadsRequest(page_token="?"), "page_token"),
        ("ListLeads", lead_pb2.ListLeadsRequest(advertiser_id="a" * 65), "advertiser_id"),
        ("AcknowledgeLeads", lead_pb2.AcknowledgeLeadsRequest(), "leads"),
        (
            "AcknowledgeLeads",
            lead_pb2.AcknowledgeLeadsRequest(leads=[lead_pb2.DeliveredLead(lead_id="x")]),
            "leads[0].revision",
        ),
    ],
)
async def test_malformed_input_is_refused_by_field(served: "Served", method: str, request_: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await getattr(served.stub, method)(request_, timeout=CALL_S)
    assert refused.value.violations[0].field == field
