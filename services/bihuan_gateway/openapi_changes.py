"""What a JSON merge patch (RFC 7396) of a resource may hold, as JSON Schema."""

import copy
from collections.abc import Mapping
from typing import cast

from bihuan_gateway.control.fields import Spec

Schema = dict[str, object]
_PREFIX = "#/components/schemas/"
_VERSION: Schema = {
    "type": "integer",
    "minimum": 1,
    "title": "Version",
    "description": "change only this version; the newest, whichever it is, where absent",
}


def changes_schemas(name: str, spec: type[Spec]) -> dict[str, Schema]:
    """
    Describe the changes of a spec as the schema `name`, with every schema that it refers to.

    No field is required; null takes a field that has a default back to it. Objects inside are merged too, so that
    they get a schema of changes of their own; what stands in lists is replaced as a whole.
    """
    whole = spec.model_json_schema(ref_template=f"{_PREFIX}{{model}}")
    known = cast("dict[str, Schema]", whole.pop("$defs", {}))
    made = dict(known)
    made[name] = _partial(whole, known, made, title=name)
    cast("Schema", made[name]["properties"])["version"] = _VERSION
    return made


def _partial(whole: Schema, known: Mapping[str, Schema], made: dict[str, Schema], *, title: str) -> Schema:
    required = cast("list[str]", whole.get("required", []))
    properties = {
        name: _field(copy.deepcopy(field), known, made, nullable=name not in required)
        for name, field in cast("dict[str, Schema]", whole["properties"]).items()
    }
    kept = {key: value for key, value in whole.items() if key != "required"}
    description = f"What to change. {whole.get('description', '')}".strip()
    return {**kept, "title": title, "description": description, "properties": properties, "additionalProperties": False}


def _field(field: Schema, known: Mapping[str, Schema], made: dict[str, Schema], *, nullable: bool) -> Schema:
    field.pop("default", None)
    inner = str(field.get("$ref", "")).removeprefix(_PREFIX)
    if "properties" in known.get(inner, {}):
        title = f"{inner.removesuffix('Spec')}Changes"
        made[title] = _partial(known[inner], known, made, title=title)
        field["$ref"] = _PREFIX + title
    choices = field.get("anyOf")
    if not nullable or (isinstance(choices, list) and {"type": "null"} in choices):
        return field
    return {"anyOf": [field, {"type": "null"}]}
