"""A request that an endpoint understands, taken from the app's own description of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

Operation = dict[str, Any]
"""An Operation Object of OpenAPI."""


def json_body(operation: Operation) -> Any:
    """The example of a JSON body, of an object's fields only those that must be given; None when there is none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = content.get("example")
    schema = content.get("schema", {})
    if not isinstance(example, dict) or "properties" not in schema:
        return example
    return {name: value for name, value in example.items() if name in schema.get("required", ())} or example


def file_parts(operation: Operation) -> list[str]:
    """The files of a form that must be given; none where something else must be, too, or the body is no form."""
    content = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {})
    schema = content.get("schema", {})
    required = schema.get("required", [])
    files = [name for name in required if schema["properties"][name].get("format") == "binary"]
    return files if len(files) == len(required) else []


def address(path: str, operation: Operation) -> str:
    """The path with its parameters filled in, and the query string with those that must be given."""
    query = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter.get("example", parameter["name"]))))
        elif parameter["required"]:
            query[parameter["name"]] = parameter.get("example", "")
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
