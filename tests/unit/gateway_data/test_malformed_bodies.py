"""Whatever is sent, the answer is a problem that names the field; nothing malformed is a failure inside."""

import json
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan_gateway.data.routes.reading import BodyReader, violation_of
from bihuan_gateway.data.wire.decisions import DecisionRequest
from bihuan_gateway.data.wire.events import EventsRequest
from bihuan_gateway.data.wire.orders import OrderBatchRequest, OrderRequest
from bihuan_shared.errors import InvalidArgument

GOOD = '"request_id":"r","placements":[{"placement_id":"home"}]'
LONG = "{" + GOOD + ',"identifiers":[{"namespace":"c","value":"' + 300 * "é" + '"}]}'
READERS = [BodyReader(kind, strict=strict) for kind, strict in (
    (DecisionRequest, True), (EventsRequest, False), (OrderRequest, True), (OrderBatchRequest, True),
)]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"\xff", ""),
        (b"null", ""),
        (b"[" * 100_000, ""),
        (b'{"placements":' * 50_000, ""),
        (b"{%s,}" % GOOD.encode(), ""),
        (b'{%s,"explain":NaN}' % GOOD.encode(), ""),
        (b'{%s,"explain":1e400}' % GOOD.encode(), ""),
        (b'{%s,"request_id":"again"}' % GOOD.encode(), "/request_id"),
        (b'{%s,"price":1}' % GOOD.encode(), "/price"),
        (b'{%s,"keywords":["\\ud800"]}' % GOOD.encode(), "/keywords/0"),
        (b'{%s,"keywords":["a\\u0000"]}' % GOOD.encode(), "/keywords/0"),
        (b'{"request_id":"r"}', "/placements"),
        (b'{"request_id":"r","placements":[]}', "/placements"),
        (b'{"request_id":"r\\n","placements":[{"placement_id":"home"}]}', "/request_id"),
        (b'{"request_id":1,"placements":[{"placement_id":"home"}]}', "/request_id"),
        (b'{"request_id":"r","placements":[{"placement_id":"home","floor":1}]}', "/placements/0/floor"),
        (b'{%s,"identifiers":[{"namespace":"Cookie","value":"v"}]}' % GOOD.encode(), "/identifiers/0/namespace"),
        (b'{%s,"identifiers":[{"namespace":"c","value":""}]}' % GOOD.encode(), "/identifiers/0/value"),
        (LONG, "/identifiers/0/value"),
        (b'{%s,"consent":{"purposes":["SELLING"]}}' % GOOD.encode(), "/consent/purposes/0"),
    ],
)
async def test_a_malformed_decision_names_the_field(client: httpx.AsyncClient, body: bytes | str, pointer: str) -> None:
    response = await client.post("/v1/decisions", content=body)
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.json()["errors"][0]["pointer"] == pointer


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["events", "orders", "request_id", "placements", "consent", "items", "type", "x"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(document=documents, tail=st.binary(max_size=3))
def test_any_document_is_read_or_refused(document: object, tail: bytes) -> None:
    raw = json.dumps(document).encode() + tail
    for reader in READERS:
        with suppress(InvalidArgument):
            reader.decode(raw)


def test_a_name_that_needs_escapes_is_escaped_in_the_pointer() -> None:
    violation = violation_of("Object contains unknown field `a/b~c` - at `$.events[3].consent`")
    assert (violation.field, violation.description) == ("/events/3/consent/a~1b~0c", "is not known here")
