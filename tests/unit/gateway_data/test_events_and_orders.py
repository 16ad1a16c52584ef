"""`POST /v1/events` and `POST /v1/orders` over fakes of the hops."""

import httpx
import pytest
from data_plane_fakes import sighting_of
from data_plane_world import NOW_US, World

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.data.ports import NOBODY, Recorded, RecordResult, Resolved
from bihuan_shared.errors import DeadlineExceeded, FieldViolation, InvalidArgument, Unavailable

CONSENT = {"purposes": ["TARGETING", "MEASUREMENT"], "data_classes": ["OPERATION", "TRANSACTION"], "source": "crm"}
LOGIN = [{"namespace": "login", "value": "ann"}]


def event(event_id: str = "e1", /, **more: object) -> dict[str, object]:
    return {"event_id": event_id, "identifiers": LOGIN, "behaviour": "order", "consent": CONSENT, **more}


def order(**more: object) -> dict[str, object]:
    body: dict[str, object] = {
        "type": "order",
        "order_id": "o1",
        "advertiser_id": "acme",
        "order_time": "2023-11-14T22:00:00Z",
        "currency": "USD",
        "items": [
            {"item_id": "i1", "shop_id": "s1", "quantity": 2, "paid_micros": 5_000_000, "tags": ["category:tea"]}
        ],
        "consent": CONSENT,
    }
    return {name: value for name, value in {**body, **more}.items() if value is not None}


async def test_events_are_taken_in_for_the_person_of_their_identifiers(world: World, client: httpx.AsyncClient) -> None:
    more: dict[str, object] = {"event_time": "2023-11-14T22:00:00.5+01:00", "tags": ["category:tea"]}
    body = {"events": [event(amount={"currency": "USD", "micros": 7}, **more), event("e2", behaviour="VIEW")]}
    response = await client.post("/v1/events", json=body)
    assert response.json() == {
        "events": [
            {"event_id": "e1", "outcome": "accepted", "reason": None},
            {"event_id": "e2", "outcome": "accepted", "reason": None},
        ],
        "links": [],
        "changed_attribute_count": 0,
        "actions": [],
    }
    one, two = world.profiles.ingested
    assert (one.person, two.person) == (Resolved(1, sighting_of(1)),) * 2
    assert (one.name, one.amount, one.event_time_us) == (
        "ORDER",
        ("USD", 7),
        1_699_995_600_500_000,
    )
    assert (two.name, two.amount, two.event_time_us) == ("VIEW", None, None)
    again = await client.post("/v1/events", json=body)
    assert [result["outcome"] for result in again.json()["events"]] == ["duplicate", "duplicate"]


async def test_an_event_without_consent_creates_nobody(world: World, client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/events", json={"events": [event(consent={})]})
    assert response.json()["events"] == [{"event_id": "e1", "outcome": "rejected", "reason": "NO_CONSENT"}]
    assert world.identities.persons == {}


async def test_attributes_and_links_come_before_events(world: World, client: httpx.AsyncClient) -> None:
    link = {
        "identifiers": [*LOGIN, {"namespace": "cookie", "value": "c"}],
        "evidence": {"kind": "deterministic", "source": "crm"},
        "request_id": "l1",
    }
    values = [{"name": "age", "value": 30}, {"name": "gender", "value": "f"}, {"name": "member", "value": True}]
    body = {"links": [link], "attributes": [{"identifiers": LOGIN, "attributes": values}]}
    response = await client.post("/v1/events", json=body)
    assert response.json()["changed_attribute_count"] == 3
    assert response.json()["links"] == [
        {"request_id": "l1", "outcome": "accepted", "evidence_id": "evidence-l1", "reason": None}
    ]
    ((_, facts),) = world.profiles.facts
    assert [fact.value for fact in facts] == [30.0, "f", True]
    link["evidence"] = {"kind": "probabilistic", "source": "crm", "confidence": 0.5}
    again = await client.post("/v1/events", json={"links": [link]})
    assert again.json()["links"][0]["outcome"] == "conflict"


async def test_what_the_taxonomy_refuses_leaves_no_link_behind(world: World, client: httpx.AsyncClient) -> None:
    path = "updates[0].attributes[0].name"
    world.profiles.faults.error = InvalidArgument("refused", FieldViolation(path, "is not an attribute"))
    link = {
        "identifiers": [*LOGIN, {"namespace": "cookie", "value": "c"}],
        "evidence": {"kind": "deterministic", "source": "crm"},
        "request_id": "l1",
    }
    values = [{"identifiers": LOGIN, "attributes": [{"name": "no_such_tag", "value": 30}]}]
    answer = await client.post("/v1/events", json={"links": [link], "attributes": values})
    assert answer.status_code == 400
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/attributes/0/attributes/0/name"]
    assert (world.identities.linked, world.identities.persons) == ({}, {})


async def test_a_tenant_reports_events_of_its_own_and_changes_nobody(world: World, client: httpx.AsyncClient) -> None:
    world.principal = Principal("k", Role.ADVERTISER, "acme")
    await client.post("/v1/events", json={"events": [event()]})
    assert world.profiles.ingested[0].event_id == "acme/e1"
    body = {"attributes": [{"identifiers": LOGIN, "attributes": [{"name": "age", "value": 1}]}]}
    assert (await client.post("/v1/events", json=body)).status_code == 403
    world.principal = Principal("k", Role.ANALYST)
    assert (await client.post("/v1/events", json={"events": [event()]})).status_code == 403


@pytest.mark.parametrize(
    ("names", "status"), [(["acme.vip"], 200), (["acme.vip", "age"], 403), (["globex.vip"], 403), (["acme.v.x"], 400)]
)
async def test_a_tenant_tells_values_of_its_own_private_tags_only(
    world: World, client: httpx.AsyncClient, names: list[str], status: int
) -> None:
    world.principal = Principal("k", Role.ADVERTISER, "acme")
    values = [{"name": name, "value": 3} for name in names]
    answer = await client.post("/v1/events", json={"attributes": [{"identifiers": LOGIN, "attributes": values}]})
    assert answer.status_code == status, answer.text
    assert bool(world.profiles.facts) is (status == 200)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"event_id": ""}, "/events/1/event_id"),
        ({"event_id": "x" * 129}, "/events/1/event_id"),
        ({"behaviour": "teleport"}, "/events/1/behaviour"),
        ({"identifiers": []}, "/events/1/identifiers"),
        ({"event_time": "yesterday"}, "/events/1/event_time"),
        ({"event_time": "0000-01-01T00:00:00Z"}, "/events/1/event_time"),
        ({"tags": ["x" * 97]}, "/events/1/tags/0"),
        ({"tags": [" "]}, "/events/1/tags/0"),
        ({"tags": ["a\u2028b"]}, "/events/1/tags/0"),
        ({"tags": ["a"] * 65}, "/events/1/tags"),
        ({"amount": {"currency": "USD", "micros": -1}}, "/events/1/amount/micros"),
        ({"amount": {"currency": "dollars", "micros": 1}}, "/events/1/amount/currency"),
        ({"consent": {"purposes": ["WORLD_PEACE"]}}, "/events/1/consent/purposes/0"),
        ({"consent": {"data_classes": [7]}}, "/events/1/consent/data_classes/0"),
        ({"surprise": 1}, "/events/1"),
    ],
)
async def test_one_malformed_event_refuses_the_batch_and_nothing_of_it_is_taken_in(
    world: World, client: httpx.AsyncClient, changes: dict[str, object], pointer: str
) -> None:
    values = [{"identifiers": LOGIN, "attributes": [{"name": "age", "value": 30}]}]
    body = {"events": [event(), {**event("e2"), **changes}], "attributes": values}
    answer = await client.post("/v1/events", json=body)
    assert answer.status_code == 400, answer.text
    pointers = [one["pointer"] for one in answer.json()["errors"]]
    assert any(one == pointer or one.startswith(f"{pointer}/") for one in pointers), pointers
    assert (world.profiles.ingested, world.profiles.facts, world.identities.persons) == ([], [], {})


@pytest.mark.parametrize(
    ("attribute", "pointer"),
    [
        ({"name": "Age", "value": 3}, "/attributes/1/attributes/0/name"),
        ({"name": "age", "value": ""}, "/attributes/1/attributes/0/value"),
        ({"name": "age", "value": [3]}, "/attributes/1/attributes/0/value"),
        ({"name": "age", "value": "x" * 129}, "/attributes/1/attributes/0/value"),
        ({"name": "age", "value": "a\u0000"}, "/attributes/1/attributes/0/value"),
        ({"name": "age", "value": 3, "update_time": "soon"}, "/attributes/1/attributes/0/update_time"),
        ({"name": "age"}, "/attributes/1/attributes/0"),
    ],
)
async def test_one_malformed_attribute_refuses_the_batch_and_nothing_of_it_is_taken_in(
    world: World, client: httpx.AsyncClient, attribute: dict[str, object], pointer: str
) -> None:
    good = {"identifiers": LOGIN, "attributes": [{"name": "age", "value": 30}]}
    body = {"events": [event()], "attributes": [good, {"identifiers": LOGIN, "attributes": [attribute]}]}
    answer = await client.post("/v1/events", json=body)
    assert answer.status_code == 400, answer.text
    pointers = [one["pointer"] for one in answer.json()["errors"]]
    assert any(one == pointer or one.startswith(f"{pointer}/") for one in pointers), pointers
    assert (world.profiles.ingested, world.profiles.facts, world.identities.persons) == ([], [], {})


async def test_an_oversized_batch_is_refused_whole_by_the_name_of_the_list(
    world: World, client: httpx.AsyncClient
) -> None:
    update = {"identifiers": LOGIN, "attributes": [{"name": "age", "value": 30}]}
    for name, rows in (("events", [event(f"e{n}") for n in range(1_001)]), ("attributes", [update] * 1_001)):
        answer = await client.post("/v1/events", json={name: rows})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, f"/{name}")
    assert (world.profiles.ingested, world.profiles.facts, world.identities.persons) == ([], [], {})


async def test_events_are_refused_whole_while_profile_is_away(world: World, client: httpx.AsyncClient) -> None:
    world.profiles.faults.error = Unavailable("down")
    response = await client.post("/v1/events", json={"events": [event()]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_an_order_is_recorded_with_its_person(world: World, client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/orders", json=order(identifiers=LOGIN, click_id="c" * 32))
    assert response.status_code == 200, response.text
    assert response.json() == {
        "order_id": "o1", "event_id": "o1", "outcome": "accepted", "reason": None, "pointer": None,
    }  # fmt: skip
    (recorded,) = world.events.orders
    assert (recorded.kind, recorded.status, recorded.channel) == ("ORDER", "PAID", "ONLINE")
    assert recorded.person == Resolved(1, sighting_of(1))
    assert (recorded.event_id, recorded.receive_time_us, recorded.click_id) == ("acme/o1", NOW_US, "c" * 32)


async def test_without_measurement_an_order_names_nobody(world: World, client: httpx.AsyncClient) -> None:
    await client.post("/v1/orders", json=order(identifiers=LOGIN, consent={"purposes": ["TARGETING"]}))
    assert (world.events.orders[0].person, world.identities.persons) == (NOBODY, {})


async def test_updates_and_refunds_are_events_of_their_own(world: World, client: httpx.AsyncClient) -> None:
    lines = [{"item_id": "i1", "quantity": 1, "refund_micros": 2_500_000}]
    bodies = [
        order(type="update", status="completed", items=None),
        order(type="refund", refund_items=lines, items=None),
        order(type="refund", refund_items=lines, items=None, event_id="r-7"),
    ]
    response = await client.post("/v1/orders", json={"orders": bodies})
    assert [result["outcome"] for result in response.json()["results"]] == ["accepted"] * 3
    update, refund, named = world.events.orders
    assert (update.kind, update.event_id, update.status) == ("ORDER_UPDATE", "acme/o1:COMPLETED", "COMPLETED")
    assert (refund.kind, refund.lines[0].micros, refund.status) == ("REFUND", 2_500_000, "")
    assert refund.event_id.startswith("acme/o1:")
    assert named.event_id == "acme/r-7"


@pytest.mark.parametrize(
    ("result", "status", "reason", "pointer"),
    [
        (RecordResult(Recorded.CONFLICT, "CONTENT_CONFLICT"), 409, "CONTENT_CONFLICT", None),
        (
            RecordResult(Recorded.REJECTED, "TIME_OUT_OF_RANGE", "order.order_time"),
            400,
            "TIME_OUT_OF_RANGE",
            "/order_time",
        ),
        (
            RecordResult(Recorded.REJECTED, "INVALID_FIELD", "order.items[0].tags"),
            400,
            "INVALID_FIELD",
            "/items/0/tags",
        ),
    ],
)
async def test_a_single_order_that_was_not_taken_is_a_problem_and_in_a_batch_a_result(
    world: World, client: httpx.AsyncClient, result: RecordResult, status: int, reason: str, pointer: str | None
) -> None:
    world.events.order_result = result
    response = await client.post("/v1/orders", json=order())
    assert (response.status_code, response.json()["type"]) == (status, f"urn:bihuan:{reason}")
    assert [error["pointer"] for error in response.json()["errors"]] == ([pointer] if pointer else [])
    batch = await client.post("/v1/orders", json={"orders": [order()]})
    assert batch.status_code == 200
    assert (batch.json()["results"][0]["reason"], batch.json()["results"][0]["pointer"]) == (reason, pointer)


async def test_a_tenant_reports_its_own_orders_only(world: World, client: httpx.AsyncClient) -> None:
    world.principal = Principal("k", Role.ADVERTISER, "brew")
    response = await client.post("/v1/orders", json={"orders": [order(advertiser_id="brew"), order()]})
    assert response.status_code == 404
    assert response.json()["errors"][0]["pointer"] == "/orders/1/advertiser_id"
    assert world.events.orders == []


@pytest.mark.parametrize("error", [Unavailable("down"), DeadlineExceeded("slow")])
async def test_while_attribution_is_away_orders_are_to_be_sent_again(
    world: World, client: httpx.AsyncClient, error: Unavailable | DeadlineExceeded
) -> None:
    world.events.faults.error = error
    response = await client.post("/v1/orders", json=order())
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"items": None}, "/items"),
        ({"refund_items": [{"item_id": "i", "refund_micros": 1}]}, "/refund_items"),
        ({"type": "update", "items": None}, "/status"),
        ({"type": "refund", "items": None}, "/refund_items"),
        ({"order_time": "1969-12-31T23:59:59Z"}, "/order_time"),
        ({"order_time": "2023-11-14T22:00:00"}, "/order_time"),
        ({"currency": "usd"}, "/currency"),
        ({"items": [{"item_id": "i", "paid_micros": -1}]}, "/items/0/paid_micros"),
        ({"items": [{"item_id": "i", "paid_micros": 1, "tags": ["茶" * 33]}]}, "/items/0/tags/0"),
    ],
)
async def test_the_shape_of_an_order_is_checked_field_by_field(
    client: httpx.AsyncClient, more: dict[str, object], pointer: str
) -> None:
    response = await client.post("/v1/orders", json=order(**more))
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == pointer
    batch = await client.post("/v1/orders", json={"orders": [order(), order(**more)]})
    assert batch.json()["errors"][0]["pointer"] == f"/orders/1{pointer}"
