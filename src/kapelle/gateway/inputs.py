"""From an HTTP request to the arguments of an endpoint, by its annotations; what does not fit stays outside."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import unquote

import msgspec
import numpy as np

from kapelle.declare.apps import EndpointSpec
from kapelle.declare.parameters import Parameter, Upload, record_type
from kapelle.errors import DeclarationError, InvalidInput
from kapelle.gateway.multipart import read_multipart
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.types.hooks import from_plain, from_text, is_pydantic
from kapelle.wire.payload import split_path

Arguments = dict[str, Any]
Reader = Callable[[Request], Arguments]


def is_model(annotation: Any) -> bool:
    """Whether ``annotation`` is a class with named fields: msgspec Struct, dataclass or pydantic model."""
    if not isinstance(annotation, type):
        return False
    return issubclass(annotation, msgspec.Struct) or is_dataclass(annotation) or is_pydantic(annotation)


def unwrapped(annotation: Any) -> Any:
    """``T`` of ``T | None``; anything else as it is."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


class Inputs:
    """How the arguments of one endpoint are read. ``kind`` is what the body is: none, json, model, raw or multipart."""

    def __init__(self, spec: EndpointSpec) -> None:
        in_path = set(spec.path_parameters)
        self.path = tuple(one for one in spec.signature.parameters if one.name in in_path)
        rest = [one for one in spec.signature.parameters if one.name not in in_path]
        self.query = tuple(one for one in rest if one.from_query or spec.method == "GET")
        self.body = tuple(one for one in rest if one not in self.query)
        self.takes_room = False
        """Whether the raw body is a view of memory, which services may share."""
        self.kind = self._kind(spec)
        for parameter in self.path + self.query:
            _check_text_parameter(spec, parameter)
        self._form_decoders = {one.name: _decoder(one.annotation) for one in self.body if self._is_json_part(one)}
        self._readers = self._make_readers(spec)
        # The common case, one JSON object, is decoded straight into the arguments, which are given in their order.
        self.decode_json: Callable[[bytes], Any] | None = None
        self.whole_body_is_argument = self.kind == "model"
        by_name = any(one.keyword_only for one in self.body)
        if self.kind == "json" and not self.path and not self.query and not by_name:
            self.decode_json = self._json_decoder(spec)

    def read(self, request: Request, in_path: InPath) -> Arguments:
        """The arguments by name.

        Raises:
            InvalidInput: naming the field, what was found and what was expected.
            HttpError: the body is not of the form that the endpoint takes.
        """
        arguments: Arguments = {}
        for parameter in self.path:
            arguments[parameter.name] = _convert_text(parameter, _unquoted(parameter, in_path[parameter.name]), "path")
        if self.query:
            arguments.update(self._read_query(request))
        for reader in self._readers:
            arguments.update(reader(request))
        return arguments

    def _kind(self, spec: EndpointSpec) -> str:
        kinds = [unwrapped(one.annotation) for one in self.body]
        if not kinds:
            return "none"
        if any(is_upload(kind) for kind in kinds):
            return "multipart"
        if bytes in kinds or memoryview in kinds:
            if len(kinds) > 1:
                names = ", ".join(one.name for one in self.body)
                raise DeclarationError(f"{spec.name}: a raw body is one bytes parameter alone; found {names}")
            self.takes_room = kinds == [memoryview]
            return "raw"
        return "model" if len(kinds) == 1 and is_model(kinds[0]) else "json"

    def _is_json_part(self, parameter: Parameter) -> bool:
        return self.kind == "multipart" and not is_upload(unwrapped(parameter.annotation))

    def _make_readers(self, spec: EndpointSpec) -> list[Reader]:
        if self.kind == "raw":
            name = self.body[0].name
            if self.takes_room:
                return [lambda request: {name: memoryview(request.content).toreadonly()}]
            return [lambda request: {name: request.body}]
        if self.kind == "multipart":
            return [self._read_form]
        if self.kind == "model":
            name, required = self.body[0].name, self.body[0].required
            decode = _decoder(self.body[0].annotation)
            return [lambda request: {name: decode(request.body)} if request.body or required else {}]
        if self.kind == "json":
            decode_json = self._json_decoder(spec)
            return [lambda request: msgspec.structs.asdict(decode_json(request.body))]
        return []

    def _json_decoder(self, spec: EndpointSpec) -> Callable[[bytes], Any]:
        record = record_type(spec.name, self.body, forbid_unknown_fields=True)
        decode = _decoder(record)
        if all(not one.required for one in self.body):
            return lambda body: decode(body or b"{}")
        return decode

    def _read_query(self, request: Request) -> Arguments:
        known = {parameter.name: parameter for parameter in self.query}
        given: dict[str, list[str]] = {}
        try:
            items = request.query_items()
        except ValueError as error:
            raise HttpError(400, f"the query string cannot be read: {error}") from None
        for name, value in items:
            if name not in known:
                expected = ", ".join(known) or "none"
                raise InvalidInput(f"unknown query parameter {name!r}; expected {expected}", path=f"query.{name}")
            given.setdefault(name, []).append(value)
        arguments: Arguments = {}
        for name, parameter in known.items():
            values = given.get(name)
            if values is None:
                if parameter.required:
                    raise InvalidInput(f"missing required query parameter {name!r}", path=f"query.{name}")
            elif get_origin(unwrapped(parameter.annotation)) is list:
                arguments[name] = _convert(parameter, values, "query")
            else:
                if len(values) > 1:
                    raise InvalidInput(f"query parameter {name!r} is given {len(values)} times", path=f"query.{name}")
                arguments[name] = _convert_text(parameter, values[0], "query")
        return arguments

    def _read_form(self, request: Request) -> Arguments:
        fields, files = read_multipart(request)
        arguments: Arguments = {}
        for parameter in self.body:
            name = parameter.name
            texts, uploads = fields.pop(name, []), files.pop(name, [])
            wants_file = is_upload(unwrapped(parameter.annotation))
            if (texts and wants_file) or (uploads and not wants_file):
                expected = "a file (a part with a filename)" if wants_file else "text (a part without a filename)"
                raise InvalidInput(f"expected {expected}", path=f"form.{name}")
            values: list[Any] = uploads or texts
            if values:
                arguments[name] = self._form_value(parameter, values)
            elif parameter.required:
                raise InvalidInput(f"missing required part {name!r} of the multipart body", path=f"form.{name}")
        unknown = [*fields, *files]
        if unknown:
            expected = ", ".join(one.name for one in self.body)
            raise InvalidInput(f"unknown part {unknown[0]!r}; expected {expected}", path=f"form.{unknown[0]}")
        return arguments

    def _form_value(self, parameter: Parameter, values: list[Any]) -> Any:
        annotation = unwrapped(parameter.annotation)
        path = f"form.{parameter.name}"
        if get_origin(annotation) is list and (is_upload(annotation) or is_text(get_args(annotation)[0])):
            return values if is_upload(annotation) else _convert(parameter, values, "form")
        if len(values) > 1:
            raise InvalidInput(f"expected one part {parameter.name!r}, got {len(values)}", path=path)
        if annotation is Upload:
            return values[0]
        if is_text(annotation):
            return _convert_text(parameter, values[0], "form")
        try:
            return self._form_decoders[parameter.name](values[0].encode())
        except InvalidInput as error:
            raise InvalidInput(error.detail, path=path + error.path.removeprefix("$")) from None
        except HttpError as error:
            raise InvalidInput(f"expected JSON: {error.detail}", path=path) from None


def is_upload(annotation: Any) -> bool:
    """Whether ``annotation`` is ``Upload`` or ``list[Upload]``."""
    return annotation is Upload or (get_origin(annotation) is list and get_args(annotation) == (Upload,))


def is_text(annotation: Any) -> bool:
    """Whether values of this type are written as plain text in a URL or a form: text, numbers, flags, enums, dates."""
    if get_origin(annotation) in (Union, UnionType):
        return all(is_text(one) for one in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return is_text(get_args(annotation)[0])
    if get_origin(annotation) is Literal or annotation is Any:
        return True
    structured = (dict, list, tuple, set, frozenset, bytes, bytearray, np.ndarray)
    return isinstance(annotation, type) and not is_model(annotation) and not issubclass(annotation, structured)


def _decoder(annotation: Any) -> Callable[[bytes], Any]:
    raw = msgspec.json.Decoder(annotation, dec_hook=from_plain).decode

    def decode(body: bytes) -> Any:
        try:
            return raw(body)
        except msgspec.ValidationError as error:
            detail, path = split_path(str(error))
            field = re.search(r"(?:required|unknown) field `([^`]*)`", detail)
            raise InvalidInput(detail, path=f"{path}.{field[1]}" if field else path) from None
        except UnicodeDecodeError as error:
            raise HttpError(400, f"the body is not valid UTF-8 (byte {error.start})", code="malformed-body") from None
        except msgspec.DecodeError as error:
            detail = str(error) if body else "the body is empty; expected JSON"
            raise HttpError(400, detail, code="malformed-body") from None
        except RecursionError:
            raise HttpError(400, "the body is nested too deeply", code="malformed-body") from None

    return decode


def _check_text_parameter(spec: EndpointSpec, parameter: Parameter) -> None:
    annotation = unwrapped(parameter.annotation)
    if get_origin(annotation) is list and parameter.name not in spec.path_parameters:
        annotation = get_args(annotation)[0]
    if not is_text(annotation):
        raise DeclarationError(
            f"{spec.name}: {parameter.name} comes from the URL, so it must be text, a number, a flag, an enum or, in "
            f"the query, a list of these; found {parameter.annotation!r}"
        )


def _unquoted(parameter: Parameter, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput("expected UTF-8 text", path=f"path.{parameter.name}") from None


def _convert_text(parameter: Parameter, text: str, place: str) -> Any:
    if unwrapped(parameter.annotation) is bool:
        flags = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in flags:
            raise InvalidInput(f"expected true or false, got {text!r}", path=f"{place}.{parameter.name}")
        return flags[text.lower()]
    return _convert(parameter, text, place)


def _convert(parameter: Parameter, given: Any, place: str) -> Any:
    try:
        value = msgspec.convert(given, parameter.annotation, strict=False, dec_hook=from_text)
    except msgspec.ValidationError as error:
        detail, path = split_path(str(error))
        raise InvalidInput(detail, path=f"{place}.{parameter.name}{path.removeprefix('$')}") from None
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float | np.floating) and not math.isfinite(number):
            raise InvalidInput(f"expected a finite number, got {number}", path=f"{place}.{parameter.name}")
    return value
