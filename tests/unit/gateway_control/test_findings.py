"""`POST /v1/invalid-traffic`: late findings are named by their key and credited once."""

import pytest

from tests.unit.gateway_control.outsiders import Api, Outsiders

PATH = "/v1/invalid-traffic"
BODY: dict[str, object] = {
    "reason": "click_farm",
    "events": [{"event_type": "click", "event_id": "t1"}, {"event_type": "impression", "event_id": "t1"}],
}


async def test_a_finding_is_named_by_its_idempotency_key(admin: Api, outsiders: Outsiders) -> None:
    assert (await admin.call("POST", PATH, BODY)).json()["errors"][0]["pointer"] == "/header/idempotency-key"
    made = await admin.make(PATH, BODY, idempotency_key="f-1")
    assert made == {
        "finding_id": "f-1",
        "credited_count": 2,
        "unchanged_count": 0,
        "unknown_count": 0,
        "credited_nanos": {"USD": 2_000},
    }
    assert await admin.make(PATH, BODY, idempotency_key="f-1") == made
    assert (await admin.call("POST", PATH, BODY | {"reason": "other"}, idempotency_key="f-1")).status_code == 409
    reason, events = outsiders.findings.made["f-1"]
    assert reason == "click_farm"
    assert [(one.event_type, one.event_id) for one in events] == [("click", "t1"), ("impression", "t1")]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"reason": "Click Farm"}, "/reason"),
        ({"reason": ""}, "/reason"),
        ({"events": []}, "/events"),
        ({"events": [{"event_type": "click", "event_id": "t"}] * 1001}, "/events"),
        ({"events": [{"event_type": "order", "event_id": "t"}]}, "/events/0/event_type"),
        ({"events": [{"event_type": "click", "event_id": ""}]}, "/events/0/event_id"),
        ({"events": [{"event_type": "click", "event_id": "t", "price": 5}]}, "/events/0/price"),
    ],
)
async def test_a_finding_that_cannot_be_names_the_field(admin: Api, changes: dict[str, object], pointer: str) -> None:
    answer = await admin.call("POST", PATH, BODY | changes, idempotency_key="f-2")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
