"""A line to paste: a request that one of the app's endpoints understands, as its description shows it."""

from __future__ import annotations

import json
import shlex

from kapelle.declare.apps import AppSpec
from kapelle.gateway.openapi import describe
from kapelle.gateway.samples import Operation, address, file_parts, json_body


def curl_line(app: AppSpec, url: str) -> str:
    """A curl command for the first endpoint that takes JSON, else the first GET, else the first of files; "" without any."""
    paths: dict[str, dict[str, Operation]] = json.loads(describe(app))["paths"]
    posts = [(path, each["post"]) for path, each in paths.items() if "post" in each]
    for path, operation in posts:
        body = json_body(operation)
        if body is not None:
            return f"{_command(operation)} -d {shlex.quote(json.dumps(body))} {_address(url, path, operation)}"
    gets = ((path, each["get"]) for path, each in paths.items() if "get" in each)
    for path, operation in gets:
        return f"{_command(operation)} {_address(url, path, operation)}"
    for path, operation in posts:
        if files := file_parts(operation):
            form = " ".join(f"-F {name}=@FILE" for name in files)
            return f"{_command(operation)} {form} {_address(url, path, operation)}"
    return ""


def _command(operation: Operation) -> str:
    streams = "text/event-stream" in operation["responses"]["200"].get("content", {})
    return "curl -N" if streams else "curl"


def _address(url: str, path: str, operation: Operation) -> str:
    found = address(path, operation)
    return shlex.quote(url + found) if "?" in found else url + found
