"""Examples made up from schemas, so that a page can offer a request that is ready to be sent."""

from __future__ import annotations

from collections.abc import Callable
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
    for key in ("examples", "default", "const", "enum"):
        if key in schema:
            return schema[key][0] if key in ("examples", "enum") else schema[key]
    chosen = _chosen(schema, schemas)
    if chosen is not None:
        return example_of(chosen, schemas, depth + 1)
    return _of_type(schema, schemas, depth)


def _chosen(schema: Schema, schemas: Schemas) -> Schema | None:
    """The schema that this one stands for: what it refers to, or the first of its options that is not null."""
    if "$ref" in schema:
        return schemas.resolve(schema)
    options: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    return next((option for option in options if option.get("type") != "null"), None)


def _of_type(schema: Schema, schemas: Schemas, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return _object(schema, schemas, depth)
    if kind == "array":
        return _array(schema, schemas, depth)
    return _PLAIN[kind](schema) if kind in _PLAIN else None


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
    whole = schema.get("type") == "integer"
    step = schema.get("multipleOf", 1 if whole else 1.0)
    multiples = [schema[name] // step * step for name in _LIMITS if name in schema]
    near = [multiple + away for multiple in multiples for away in (0, step, -step)]
    number: float = next((one for one in (step, 0 * step, *near) if _is_within(one, schema)), step)
    return int(number) if whole else number


def _is_within(number: float, schema: Schema) -> bool:
    return all(holds(number, schema[name]) for name, holds in _LIMITS.items() if name in schema)


_PLAIN: dict[Any, Callable[[Schema], Any]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _: True,
}
