"""The data plane's part of the OpenAPI document, from the structs that read and write its bodies."""

import json
from collections.abc import Mapping
from typing import cast

import msgspec

from bihuan_gateway.data.wire.decisions import DecisionRequest, DecisionResponse
from bihuan_gateway.data.wire.events import EventsRequest, EventsResponse
from bihuan_gateway.data.wire.orders import OrderBatchRequest, OrderBatchResponse, OrderRequest, OrderResult
from bihuan_gateway.data.wire.parts import END

Json = dict[str, object]
_REF = "#/components/schemas/{name}"
_TYPES = (
    DecisionRequest,
    DecisionResponse,
    EventsRequest,
    EventsResponse,
    OrderRequest,
    OrderResult,
    OrderBatchRequest,
    OrderBatchResponse,
)


def fragment() -> Mapping[str, object]:
    """Return `paths` and `components.schemas`."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    # In a schema `$` is the end of the text, and readers know it better than a look-ahead.
    plain = json.loads(json.dumps(schemas).replace(json.dumps(END)[1:-1], "$"))
    return {"paths": _paths(), "components": {"schemas": plain}}


def _paths() -> Json:
    token = {
        "name": "token",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 2048},
    }
    pixel = {"200": {"description": "A 1x1 GIF, whatever the token", "content": {"image/gif": {}}}}
    redirect = {"302": {"description": "To the creative's landing URL, with the click id as `bh_click`"}}
    names = {"i": "an impression", "v": "a viewable impression", "l": "a landing", "c": "a click"}
    tracking = {
        f"/t/{kind}/{{token}}": {
            "get": {
                "operationId": f"track_{kind}",
                "summary": f"Record {what}",
                "tags": ["tracking"],
                "security": [],
                "parameters": [token],
                "responses": redirect if kind == "c" else pixel,
            }
        }
        for kind, what in names.items()
    }
    return {
        "/v1/decisions": _post("decide", "Decide what to show", "decisions", ("DecisionRequest",), "DecisionResponse"),
        "/v1/events": _post(
            "report_events",
            "Report behaviour, attributes, links and actions (of two equal names in one object the last counts)",
            "events",
            ("EventsRequest",),
            "EventsResponse",
        ),
        "/v1/orders": _orders(),
        **tracking,
        "/t/p/{link}": {
            "get": {
                "operationId": "follow_promoter_link",
                "summary": "Record a click through a promoter's link",
                "tags": ["tracking"],
                "security": [],
                "parameters": [{**token, "name": "link"}],
                "responses": redirect,
            }
        },
    }


def _orders() -> Json:
    path = _post(
        "report_orders",
        "Report an order, an update or a refund, or a batch of them",
        "orders",
        ("OrderRequest", "OrderBatchRequest"),
        "OrderResult",
    )
    responses = cast("dict[str, Json]", cast("dict[str, Json]", path["post"])["responses"])
    responses["200"]["content"] = _content(("OrderResult", "OrderBatchResponse"))
    return path


def _post(operation: str, summary: str, tag: str, requests: tuple[str, ...], response: str) -> Json:
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "tags": [tag],
            "requestBody": {"required": True, "content": _content(requests)},
            "responses": {"200": {"description": "Taken in", "content": _content((response,))}},
        }
    }


def _content(names: tuple[str, ...]) -> Json:
    refs = [{"$ref": _REF.format(name=name)} for name in names]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}}
