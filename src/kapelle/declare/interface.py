"""What the methods of a service look like to its callers: code that agrees in this may be mixed, other code may not."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from kapelle.declare.services import ServiceSpec

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def interface_of(service: ServiceSpec) -> str:
    """12 hexadecimal digits: the same for the same methods of the same service, however they do their work."""
    lines = [service.name]
    for name, method in sorted(service.methods.items()):
        signature = method.signature
        lines += [
            f"{name} {method.kind} {one.name}: {_look(one.annotation)} {one.tensor!r} {one.required}"
            for one in signature.parameters
        ]
        lines.append(f"{name} {method.kind} -> {_look(signature.returns)} {signature.tensor!r}")
    # Some things say where they lie in memory, which is nobody's interface.
    text = "\n".join(_ADDRESS.sub("", line) for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _look(annotation: Any) -> str:
    """A type, and all types that it is made of, down to the names of their fields."""
    try:
        schema = msgspec.json.schema_components((annotation,), schema_hook=lambda kind: {"kind": repr(kind)})
    except (TypeError, ValueError):  # a type of which nothing is known but its name
        return repr(annotation)
    return f"{annotation!r} {_undescribed(schema)!r}"


def _undescribed(schema: Any) -> Any:
    """Without what is said to people: text that changes is no other interface."""
    if isinstance(schema, dict):
        return {key: _undescribed(one) for key, one in schema.items() if key != "description" or isinstance(one, dict)}
    return [*map(_undescribed, schema)] if isinstance(schema, list | tuple) else schema
