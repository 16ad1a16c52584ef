"""Engagements and leads of `POST /v1/events` over fakes of the hops."""

import httpx
import pytest
from data_plane_fakes import sighting_of
from data_plane_world import NOW_US, World

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.data.ports import NOBODY, Recorded, RecordResult, Resolved
from bihuan_gateway.data.use_cases.actions import action_pointer
from bihuan_gateway.data.wire.actions import reference_fault
from bihuan_shared.errors import DeadlineExceeded, Unavailable

CONSENT = {"purposes": ["MEASUREMENT"], "data_classes": ["OPERATION"], "source": "cmp"}
LOGIN = [{"namespace": "login", "value": "ann"}]


def action(**more: object) -> dict[str, object]:
    body: dict[str, object] = {
        "event_id": "a1",
        "type": "engagement",
        "advertiser_id": "acme",
        "name": "video_75",
        "identifiers": LOGIN,
        "consent": CONSENT,
    }
    return {name: value for name, value in {**body, **more}.items() if value is not None}


async def report(client: httpx.AsyncClient, *actions: dict[str, object]) -> list[dict[str, object]]:
    response = await client.post("/v1/events", json={"actions": list(actions)})
    assert response.status_code == 200, response.text
    results: list[dict[str, object]] = response.json()["actions"]
    return results


async def test_actions_are_recorded_with_their_persons(world: World, client: httpx.AsyncClient) -> None:
    lead = action(
        event_id="l1", type="lead", name="form_submit", reference="crm-17", click_id="c" * 32,
        action_time="2023-11-14T22:00:00Z",
    )  # fmt: skip
    assert await report(client, action(), lead) == [
        {"event_id": name, "outcome": "accepted", "reason": None, "pointer": None} for name in ("a1", "l1")
    ]
    one, two = world.events.actions
    assert (one.kind, one.event_id, one.person) == ("ENGAGEMENT", "acme/a1", Resolved(1, sighting_of(1)))
    # A time that is made up here would make another event of a repeat.
    assert (one.action_time_us, one.receive_time_us, one.reference, one.click_id) == (None, NOW_US, "", "")
    assert (two.kind, two.event_id, two.name) == ("LEAD", "acme/l1", "form_submit")
    assert (two.action_time_us, two.reference, two.click_id) == (1_699_999_200_000_000, "crm-17", "c" * 32)


async def test_without_measurement_an_action_names_nobody_and_without_a_click_it_is_rejected(
    world: World, client: httpx.AsyncClient
) -> None:
    withheld = {"purposes": ["TARGETING"]}
    results = await report(
        client, action(consent=withheld), action(event_id="a2", consent=withheld, click_id="c1"), action(event_id="a3")
    )
    assert [(one["outcome"], one["reason"], one["pointer"]) for one in results] == [
        ("rejected", "NO_CONSENT", "/consent"), ("accepted", None, None), ("accepted", None, None),
    ]  # fmt: skip
    assert [one.event_id for one in world.events.actions] == ["acme/a2", "acme/a3"]
    assert world.events.actions[0].person == NOBODY
    assert len(world.identities.persons) == 1


async def test_a_tenant_reports_its_own_actions_only_and_the_whole_is_refused(
    world: World, client: httpx.AsyncClient
) -> None:
    world.principal = Principal("k", Role.ADVERTISER, "brew")
    event = {"event_id": "e1", "identifiers": LOGIN, "behaviour": "view", "consent": CONSENT}
    body = {"events": [event], "actions": [action(advertiser_id="brew"), action()]}
    response = await client.post("/v1/events", json=body)
    assert response.status_code == 404
    assert response.json()["errors"][0]["pointer"] == "/actions/1/advertiser_id"
    assert (world.events.actions, world.profiles.ingested) == ([], [])
    assert [one["outcome"] for one in await report(client, action(advertiser_id="brew"))] == ["accepted"]
    world.principal = Principal("k", Role.ANALYST)
    assert (await client.post("/v1/events", json={"actions": [action()]})).status_code == 403


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (RecordResult(Recorded.DUPLICATE), ("duplicate", None, None)),
        (
            RecordResult(Recorded.CONFLICT, "CONTENT_CONFLICT", "events[0].event_id"),
            ("conflict", "CONTENT_CONFLICT", "/event_id"),
        ),
        (
            RecordResult(Recorded.REJECTED, "TIME_OUT_OF_RANGE", "events[0].action.action_time"),
            ("rejected", "TIME_OUT_OF_RANGE", "/action_time"),
        ),
    ],
)
async def test_each_action_has_an_outcome_of_its_own(
    world: World, client: httpx.AsyncClient, result: RecordResult, expected: tuple[str, str | None, str | None]
) -> None:
    world.events.action_result = result
    (one,) = await report(client, action())
    assert (one["outcome"], one["reason"], one["pointer"]) == expected


@pytest.mark.parametrize("error", [Unavailable("down"), DeadlineExceeded("slow")])
async def test_while_attribution_is_away_actions_are_to_be_sent_again(
    world: World, client: httpx.AsyncClient, error: Unavailable | DeadlineExceeded
) -> None:
    world.events.faults.error = error
    response = await client.post("/v1/events", json={"actions": [action()]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"type": "order"}, "/type"),
        ({"name": "Video"}, "/name"),
        ({"name": "click"}, "/name"),
        ({"name": ""}, "/name"),
        ({"identifiers": None}, "/identifiers"),
        ({"advertiser_id": None}, "/advertiser_id"),
        ({"action_time": "1969-12-31T23:59:59Z"}, "/action_time"),
        ({"action_time": "2023-11-14T22:00:00"}, "/action_time"),
        ({"reference": "crm-1"}, "/reference"),
        ({"type": "lead", "reference": "ann@shop.example"}, "/reference"),
        ({"type": "lead", "reference": "+8613912345678"}, "/reference"),
        ({"type": "lead", "reference": "a b"}, "/reference"),
        ({"type": "lead", "reference": "x" * 129}, "/reference"),
        ({"event_id": "a b"}, "/event_id"),
        ({"person_id": 7}, "/person_id"),
    ],
)
async def test_the_shape_of_an_action_is_checked_field_by_field(
    world: World, client: httpx.AsyncClient, more: dict[str, object], pointer: str
) -> None:
    response = await client.post("/v1/events", json={"actions": [action(), action(**more)]})
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == f"/actions/1{pointer}"
    assert world.events.actions == []


async def test_a_batch_holds_a_thousand_actions_at_most(client: httpx.AsyncClient) -> None:
    bodies = [action(event_id=f"a{number}") for number in range(1_001)]
    assert len(await report(client, *bodies[:1_000])) == 1_000
    response = await client.post("/v1/events", json={"actions": bodies})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/actions")


@pytest.mark.parametrize(
    "reference",
    [
        "ann@shop.example",
        "a%40b.example",
        "MAILTO:ann",
        "+49-170-1234567",
        "tel:5551234",
        "139_1234_5678",
        "(555)1234567",
    ],
)
def test_what_says_who_somebody_is_is_no_reference(reference: str) -> None:
    assert "looks like" in reference_fault(reference)


@pytest.mark.parametrize(
    "reference", ["", "crm-13912345678", "A1:b_2.c", "123456", "1234567890123456", "f47ac10b-58cc"]
)
def test_a_key_of_ones_own_is_a_reference(reference: str) -> None:
    assert reference_fault(reference) == ""


@pytest.mark.parametrize(("path", "pointer"), [("action.name", "/name"), ("person.person_id", ""), ("", "")])
def test_a_path_of_attribution_becomes_a_pointer_into_the_action(path: str, pointer: str) -> None:
    assert action_pointer(path) == pointer
