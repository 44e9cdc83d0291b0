"""A line to paste: a request that one of the app's endpoints understands, as its description shows it."""

from __future__ import annotations

import json
import shlex

from kapelle.declare.apps import AppSpec
from kapelle.gateway.openapi import describe
from kapelle.gateway.samples import Operation, address, json_body


def curl_line(app: AppSpec, url: str) -> str:
    """A curl command for the first endpoint that takes JSON, else for the first GET; "" when there is neither."""
    paths: dict[str, dict[str, Operation]] = json.loads(describe(app))["paths"]
    posts = [(path, each["post"]) for path, each in paths.items() if "post" in each]
    for path, operation in posts:
        body = json_body(operation)
        if body is not None:
            return f"{_command(operation)} -d {shlex.quote(json.dumps(body))} {_address(url, path, operation)}"
    gets = ((path, each["get"]) for path, each in paths.items() if "get" in each)
    return next((f"{_command(operation)} {_address(url, path, operation)}" for path, operation in gets), "")


def _command(operation: Operation) -> str:
    streams = "text/event-stream" in operation["responses"]["200"].get("content", {})
    return "curl -N" if streams else "curl"


def _address(url: str, path: str, operation: Operation) -> str:
    found = address(path, operation)
    return shlex.quote(url + found) if "?" in found else url + found
