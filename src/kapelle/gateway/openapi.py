"""The app's OpenAPI 3.1 description, from its annotations and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from kapelle.declare.apps import AppSpec, EndpointSpec
from kapelle.declare.parameters import Parameter
from kapelle.errors import ContractError
from kapelle.gateway.docstrings import Docstring, parse
from kapelle.gateway.examples import example_of
from kapelle.gateway.inputs import Inputs, is_text, is_upload, unwrapped
from kapelle.gateway.schemas import Schema, Schemas
from kapelle.types.hooks import from_plain
from kapelle.types.octets import is_octets
from kapelle.types.strict_json import encode_json
from kapelle.version import VERSION

# The first two say so in OpenAPI 3.1's own words, `format` is how older tools know it.
_BINARY: Schema = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}

_PROBLEM: Schema = {
    "title": "Problem",
    "description": "Why a request was not answered (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "Name of the error, as in urn:kapelle:error:invalid-input."},
        "title": {"type": "string", "description": "What the status means."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What was found, and what was expected."},
        "errors": {
            "type": "array",
            "description": "The places of the input that do not fit.",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["path", "detail"],
            },
        },
        "request_id": {"type": "string", "description": "The request's name in the logs."},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}

_PROBLEMS = {
    400: ("Malformed", "The request cannot be read: its body is not JSON or not UTF-8, or its query string is broken."),
    413: ("TooLarge", "The body is over the limit."),
    415: ("NotMultipart", "The body is not multipart/form-data."),
    422: ("InvalidInput", "A value is missing, unknown, or not of its type; `errors` names the place."),
    429: ("Overloaded", "All places are taken. Try again after the seconds in Retry-After."),
    500: ("Failed", "The application failed; its log has the reason under the request's id."),
    502: ("ReplicaLost", "The process that worked on the request was lost."),
    503: ("Unavailable", "Nobody is ready to do the work. Try again after the seconds in Retry-After."),
    504: ("DeadlineExceeded", "There was no answer within the request's time."),
}

_JSON_PART = {"contentType": "application/json"}

_HEADERS = {
    "RequestId": {
        "description": "The request's name in the logs: the client's own X-Request-Id, or a new one.",
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}


def describe(spec: AppSpec, version: str = VERSION) -> bytes:
    """The document as JSON."""
    about = parse(spec.cls.__doc__ or "")
    schemas = Schemas()
    problem = schemas.add("Problem", _PROBLEM)
    calls_others = any(not handle.service.inline for handle in spec.handles)
    paths: dict[str, dict[str, Any]] = {}
    statuses: set[int] = set()
    for endpoint in spec.endpoints:
        operation = _Operation(endpoint, schemas, calls_others)
        # To OpenAPI, /items/{a} and /items/{b} are the same path: the first one's names stand for both.
        same = (path for path in paths if _shape(path) == _shape(endpoint.path))
        path = next(same, endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation.describe(path)
        statuses.update(operation.statuses)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": spec.name,
            "version": version,
            **_filled({"summary": about.summary, "description": about.description}),
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.named.items())),
            "responses": {_PROBLEMS[status][0]: _refusal(status, problem) for status in sorted(statuses)},
            "headers": _HEADERS,
        },
    }
    return encode_json(document)


def description_below(description: bytes, root: str) -> bytes:
    """The document for clients that reach the app below the path ``root`` of a host."""
    document = msgspec.json.decode(description)
    return msgspec.json.encode({"openapi": document.pop("openapi"), "servers": [{"url": root}], **document})


class _Operation:
    """The description of one endpoint."""

    def __init__(self, spec: EndpointSpec, schemas: Schemas, calls_others: bool) -> None:
        self._spec = spec
        self._schemas = schemas
        self._inputs = Inputs(spec)
        self._doc: Docstring = parse(spec.description)
        self.statuses = _statuses(self._inputs, calls_others)

    def describe(self, path: str) -> dict[str, Any]:
        """The Operation Object. ``path`` may name the parameters in it otherwise than the endpoint does."""
        refusals = {str(status): {"$ref": f"#/components/responses/{_PROBLEMS[status][0]}"} for status in self.statuses}
        return _filled(
            {
                "operationId": self._spec.name,
                "summary": self._doc.summary,
                "description": self._doc.description,
                "parameters": self._parameters(path),
                "requestBody": self._request_body(),
                "responses": {"200": self._answer(), **refusals},
            }
        )

    # --- what comes in ------------------------------------------------------------------------------------------------

    def _parameters(self, path: str) -> list[Schema]:
        names = dict(zip(self._spec.path_parameters, re.findall(r"\{(\w+)\}", path), strict=True))
        found = []
        for parameter in self._inputs.path:
            schema = self._text_schema(parameter)
            if schema.get("type") == "string":
                schema.setdefault("minLength", 1)
            found.append(self._parameter(parameter, "path", schema) | {"name": names[parameter.name], "required": True})
        return found + [self._parameter(one, "query", self._text_schema(one)) for one in self._inputs.query]

    def _parameter(self, parameter: Parameter, place: str, schema: Schema) -> Schema:
        example = example_of(schema, self._schemas)
        shown = parameter.required and _fits(example, parameter.annotation)
        return {
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            **_filled({"description": self._doc.parameters.get(parameter.name, "")}),
            "schema": schema,
            **({"example": example} if shown else {}),
        }

    def _text_schema(self, parameter: Parameter) -> Schema:
        """The schema of a value that is written as text, where None is simply not given."""
        schema = self._schemas.of(unwrapped(parameter.annotation))
        return schema | _default(parameter) if parameter.default is not None else schema

    def _request_body(self) -> Schema:
        inputs = self._inputs
        if not inputs.body:
            return {}
        first = inputs.body[0]
        described: Schema = {}
        content: Schema
        match inputs.kind:
            case "raw":
                content = {"application/octet-stream": {"schema": _BINARY}}
                described = {"description": self._doc.parameters.get(first.name, "")}
            case "model":
                schema = self._schemas.of(first.annotation)
                example = example_of(schema, self._schemas)
                shown = {"example": example} if _fits(example, first.annotation) else {}
                content = {"application/json": {"schema": schema, **shown}}
                described = {"description": self._doc.parameters.get(first.name, "")}
            case "multipart":
                encoding = {one.name: _JSON_PART for one in inputs.body if _is_structured(one)}
                content = {
                    "multipart/form-data": {"schema": self._object(self._part), **_filled({"encoding": encoding})}
                }
            case _:
                schema = self._object(self._field)
                content = {"application/json": {"schema": schema, **_filled({"example": self._example(schema)})}}
        return {**_filled(described), "required": any(one.required for one in inputs.body), "content": content}

    def _object(self, schema_of: Callable[[Parameter], Schema]) -> Schema:
        """One object with all parameters of the body as its fields."""
        properties = {}
        for parameter in self._inputs.body:
            note = _filled({"description": self._doc.parameters.get(parameter.name, "")})
            properties[parameter.name] = schema_of(parameter) | note
        required = [one.name for one in self._inputs.body if one.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def _field(self, parameter: Parameter) -> Schema:
        return self._schemas.of(parameter.annotation) | _default(parameter)

    def _part(self, parameter: Parameter) -> Schema:
        annotation = unwrapped(parameter.annotation)
        if is_upload(annotation):
            return {"type": "array", "items": _BINARY} if get_origin(annotation) is list else _BINARY
        return self._field(parameter) if _is_structured(parameter) else self._text_schema(parameter)

    def _example(self, schema: Schema) -> Any:
        """A body of this schema that would be accepted; None where one cannot be made up."""
        fields = example_of(schema, self._schemas)
        known = {one.name: one.annotation for one in self._inputs.body}
        return fields if all(_fits(value, known[name]) for name, value in fields.items()) else None

    # --- what goes out ------------------------------------------------------------------------------------------------

    def _answer(self) -> Schema:
        returns = self._spec.signature.returns
        if self._spec.streams:
            described = self._doc.returns or "A stream of server-sent events."
            described += (
                " The data of each event is JSON. An error on the way ends it with an event `error`, a Problem."
            )
            return {"description": described, "headers": _REQUEST_ID, "content": self._events()}
        described = self._doc.returns or "The answer."
        return {"description": described, "headers": _REQUEST_ID, "content": self._content(returns)}

    def _events(self) -> Schema:
        """OpenAPI 3.1 has no word for the items of a stream (3.2 has), so an extension says it."""
        item = self._schemas.of(self._spec.signature.item, "output")
        return {"text/event-stream": {"x-item-schema": item}}

    def _content(self, returns: Any) -> Schema:
        """The forms of an answer: bytes and text go out as they are, all else as JSON."""
        members = get_args(returns) if get_origin(returns) in (Union, UnionType) else (returns,)
        content: Schema = {}
        rest = []
        for member in members:
            if is_octets(_plain(member)):
                content["application/octet-stream"] = {"schema": _BINARY}
            elif _is_string(_plain(member)):
                content["text/plain"] = {"schema": self._schemas.of(member, "output")}
            else:
                rest.append(member)
        if rest:
            content["application/json"] = {"schema": self._schemas.of(reduce(or_, rest), "output")}
        return content


def _is_structured(parameter: Parameter) -> bool:
    """Whether a part of a form is written as JSON: neither files nor text, once or repeated."""
    annotation = unwrapped(parameter.annotation)
    item = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    return not is_upload(annotation) and not is_text(item)


def _statuses(inputs: Inputs, calls_others: bool) -> list[int]:
    """The refusals that an endpoint may answer with."""
    applies = {
        413: bool(inputs.body),
        415: inputs.kind == "multipart",
        422: bool(inputs.path + inputs.query + inputs.body),
        502: calls_others,
    }
    return [status for status in _PROBLEMS if applies.get(status, True)]


def _refusal(status: int, problem: Schema) -> Schema:
    return {
        "description": _PROBLEMS[status][1],
        "headers": {**_REQUEST_ID, **(_RETRY_AFTER if status in (429, 503) else {})},
        "content": {"application/problem+json": {"schema": problem}},
    }


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a made-up value would be accepted."""
    try:
        msgspec.convert(value, annotation, strict=False, dec_hook=from_plain)
    except Exception:  # noqa: BLE001 - users' own classes check values too, and may raise anything
        return False
    return True


def _default(parameter: Parameter) -> Schema:
    """The default as JSON has it; nothing where there is none, or JSON has no such value (infinity)."""
    if parameter.required:
        return {}
    try:
        return {"default": msgspec.json.decode(encode_json(parameter.default))}
    except (TypeError, NotImplementedError, ContractError):
        return {}


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_string(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    return inspect.isclass(annotation) and issubclass(annotation, str)


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
