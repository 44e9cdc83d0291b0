"""A line to paste: a request that one of the app's endpoints understands, as its description shows it."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote, urlencode

from kapelle.declare.apps import AppSpec
from kapelle.gateway.openapi import describe

Operation = dict[str, Any]


def curl_line(app: AppSpec, url: str) -> str:
    """A curl command for the first endpoint that takes JSON, else for the first GET; "" when there is neither."""
    paths: dict[str, dict[str, Operation]] = json.loads(describe(app))["paths"]
    posts = [(path, each["post"]) for path, each in paths.items() if "post" in each]
    for path, operation in posts:
        body = _body(operation)
        if body is not None:
            return f"{_command(operation)} -d {shlex.quote(json.dumps(body))} {_address(url, path, operation)}"
    gets = ((path, each["get"]) for path, each in paths.items() if "get" in each)
    return next((f"{_command(operation)} {_address(url, path, operation)}" for path, operation in gets), "")


def _command(operation: Operation) -> str:
    streams = "text/event-stream" in operation["responses"]["200"].get("content", {})
    return "curl -N" if streams else "curl"


def _body(operation: Operation) -> Any:
    """The example of a JSON body, of an object's fields only those that must be given; None when there is none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = content.get("example")
    schema = content.get("schema", {})
    if not isinstance(example, dict) or "properties" not in schema:
        return example
    return {name: value for name, value in example.items() if name in schema.get("required", ())} or example


def _address(url: str, path: str, operation: Operation) -> str:
    query = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter.get("example", parameter["name"]))))
        elif parameter["required"]:
            query[parameter["name"]] = parameter.get("example", "")
    return shlex.quote(f"{url}{path}?{urlencode(query, doseq=True)}") if query else f"{url}{path}"
