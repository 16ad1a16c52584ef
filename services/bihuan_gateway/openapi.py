"""One OpenAPI document for both planes."""

import copy
from collections.abc import Mapping
from typing import cast

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.applications import Starlette

from bihuan_gateway.control.resources import SPECS
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.use_cases import PATCHABLE
from bihuan_gateway.openapi_changes import changes_schemas
from bihuan_gateway.problem import MEDIA_TYPE, Problem

Document = dict[str, object]
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def merged(base: object, addition: object) -> object:
    """Merge two JSON documents; where both say something, the addition wins."""
    if not isinstance(base, dict) or not isinstance(addition, Mapping):
        return addition
    both = dict(base)
    for name, value in addition.items():
        both[name] = merged(both[name], value) if name in both else value
    return both


def document(app: Starlette, *, title: str, version: str, fragment: Mapping[str, object]) -> Document:
    """Describe the application's routes and the fragment's; every operation may answer a problem document."""
    routes = [route for route in app.routes if not isinstance(route, APIRoute) or route.include_in_schema]
    found = merged(get_openapi(title=title, version=version, routes=routes), copy.deepcopy(dict(fragment)))
    schema = cast("Document", found)
    components = cast("dict[str, Document]", schema.setdefault("components", {}))
    schemas = components.setdefault("schemas", {})
    paths = cast("dict[str, dict[str, Document]]", schema.get("paths", {}))
    for kind in sorted(PATCHABLE):
        _describe_changes(kind, paths, schemas)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"key": []}]
    for path in paths.values():
        for method, operation in path.items():
            if method in _METHODS:
                responses = cast("Document", operation.setdefault("responses", {}))
                responses.pop("422", None)
                responses["default"] = _PROBLEM
    return schema


def _describe_changes(kind: Kind, paths: dict[str, dict[str, Document]], schemas: Document) -> None:
    """Say what a patch may hold: the routes take any object, because the resource that results is what is checked."""
    name = SPECS[kind].__name__.removesuffix("Spec") + "Changes"
    for found, schema in changes_schemas(name, SPECS[kind]).items():
        schemas.setdefault(found, schema)
    body = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    paths[f"/v1/{kind}/{{resource_id}}"]["patch"]["requestBody"] = {
        "required": True,
        "content": {"application/json": body},
    }
