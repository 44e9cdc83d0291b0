"""The request of the app that is measured: the one that is given, or the one that its description shows."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kapelle.bench.client import Request
from kapelle.declare.apps import AppSpec
from kapelle.errors import ConfigError
from kapelle.gateway.examples import example_of
from kapelle.gateway.openapi import describe
from kapelle.gateway.samples import Operation, address, json_body
from kapelle.gateway.schemas import Schema, Schemas

_JSON, _FORM, _RAW = "application/json", "multipart/form-data", "application/octet-stream"
_BOUNDARY = "kapelle-bench-7f1c9a"
_WIDTH, _HEIGHT, _GRAIN = 640, 480, 20


def request_of(app: AppSpec, endpoint: str | None, file: Path | None) -> Request | None:
    """The request to ``endpoint``, by default the first POST, else the first GET; None when none can be made up.

    ``file`` is its body, or the file in it where the endpoint takes an upload.

    Raises:
        ConfigError: there is no such endpoint, or no request to it can be made up.
    """
    paths: dict[str, dict[str, Operation]] = json.loads(describe(app))["paths"]
    all_of_them = [(verb.upper(), path, operation) for path, each in paths.items() for verb, operation in each.items()]
    routes = sorted(all_of_them, key=lambda route: route[0] != "POST")
    if endpoint is not None:
        routes = [route for route in routes if endpoint in (route[1], f"{route[0]} {route[1]}")]
        if not routes:
            known = ", ".join(f"{verb} {path}" for verb, path, _ in all_of_them) or "none"
            raise ConfigError(f"{app.name} has no endpoint {endpoint!r}; there is {known}")
    content = None if file is None else _read(file)
    for verb, path, operation in routes:
        body = _body(operation, content)
        if body is not None:
            return Request(verb, address(path, operation), *body)
    if endpoint is not None or file is not None:
        raise ConfigError(f"no request to {endpoint or app.name} can be made up; give its body with --request FILE")
    return None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"--request {file} cannot be read: {error.strerror}") from None


def _body(operation: Operation, content: bytes | None) -> tuple[bytes, str] | None:
    """The body and its type; None when it cannot be made up."""
    described: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    if not described:
        return b"", _RAW
    if _FORM in described:
        return _form(described[_FORM]["schema"], content if content is not None else picture())
    if _JSON in described:
        example = json_body(operation)
        if content is None and example is None:
            return None
        return (content if content is not None else json.dumps(example).encode()), _JSON
    content = content if content is not None else picture()
    return None if content is None else (content, _RAW)


def _form(schema: Schema, file: bytes | None) -> tuple[bytes, str] | None:
    parts = []
    for name in schema["required"]:
        field: Schema = schema["properties"][name]
        is_file = "binary" in (field.get("format"), field.get("items", {}).get("format"))
        value = file if is_file else _text(field)
        if value is None:
            return None
        described = f'; filename="{name}"\r\ncontent-type: {_RAW}' if is_file else ""
        head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{described}\r\n\r\n'
        parts.append(head.encode() + value + b"\r\n")
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()]), f"{_FORM}; boundary={_BOUNDARY}"


def _text(field: Schema) -> bytes | None:
    if "$ref" in field:
        return None  # only the whole description could resolve it, and a form of models is rare
    example = example_of(field, Schemas())
    return (example if isinstance(example, str) else json.dumps(example)).encode()


def picture() -> bytes | None:
    """A JPEG of coloured clouds, always the same one; None where Pillow is not installed.

    Files that people upload are pictures more often than anything else.
    """
    if find_spec("PIL") is None:
        return None
    from PIL import Image  # noqa: PLC0415 - Pillow comes with the apps that need it, not with Kapelle

    grains = np.random.default_rng(7).integers(0, 256, (_HEIGHT // _GRAIN, _WIDTH // _GRAIN, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(grains).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
