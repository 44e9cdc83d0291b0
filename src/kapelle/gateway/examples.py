"""Examples made up from schemas, so that a page can offer a request that is ready to be sent."""

from __future__ import annotations

from operator import ge, gt, le, lt
from typing import Any

from kapelle.gateway.schemas import Schema, Schemas

_DEEPEST = 8
_TEXTS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "decimal": "1.5",
    "duration": "PT1S",
    "email": "name@example.org",
    "partial-time": "12:00:00",
    "time": "12:00:00Z",
    "uri": "https://example.org/",
    "uuid": "6f1c0b7e-5a3d-4f7a-9a51-0d5f2f7f2c11",
}
_LIMITS = {"minimum": ge, "maximum": le, "exclusiveMinimum": gt, "exclusiveMaximum": lt}


def example_of(schema: Schema, schemas: Schemas, depth: int = 0) -> Any:
    """A value that the schema describes: the author's own example or default where there is one.

    It is a plausible guess, no more: a pattern, for one, is not looked at.
    """
    if depth > _DEEPEST:
        return None
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "$ref" in schema:
        return example_of(schemas.resolve(schema), schemas, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            options = sorted(schema[key], key=lambda option: bool(option.get("type") == "null"))
            return example_of(options[0], schemas, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _of_type(schema, schemas, depth)


def _of_type(schema: Schema, schemas: Schemas, depth: int) -> Any:
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return _object(schema, schemas, depth)
        case "array":
            return _array(schema, schemas, depth)
        case "string":
            return _text(schema)
        case "integer":
            return int(_number(schema))
        case "number":
            return float(_number(schema))
        case "boolean":
            return True
    return None


def _object(schema: Schema, schemas: Schemas, depth: int) -> dict[str, Any]:
    """All fields that are required, and those whose default says something."""
    required = schema.get("required", ())
    found = {}
    for name, field in schema.get("properties", {}).items():
        if name in required or field.get("default") is not None:
            found[name] = example_of(field, schemas, depth + 1)
    if not found and isinstance(schema.get("additionalProperties"), dict):
        found["key"] = example_of(schema["additionalProperties"], schemas, depth + 1)
    return found


def _array(schema: Schema, schemas: Schemas, depth: int) -> list[Any]:
    items = [example_of(one, schemas, depth + 1) for one in schema.get("prefixItems", ())]
    rest = schema.get("items")
    if isinstance(rest, dict) and depth < _DEEPEST:
        while len(items) < max(1, schema.get("minItems", 1)):
            items.append(example_of(rest, schemas, depth + 1))
    return items


def _text(schema: Schema) -> str:
    if schema.get("contentEncoding") == "base64":
        return "a2FwZWxsZQ=="
    text = _TEXTS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: Schema) -> float:
    step = schema.get("multipleOf", 1)
    limits = [schema[name] for name in _LIMITS if name in schema]
    multiples = [limit // step * step for limit in limits]
    near = [multiple + away for multiple in multiples for away in (0, step, -step)]
    return next((one for one in (step, 0, *near) if _is_within(one, schema)), step)


def _is_within(number: float, schema: Schema) -> bool:
    return all(holds(number, schema[name]) for name, holds in _LIMITS.items() if name in schema)
