"""Bodies of requests: JSON, bytes as they are, and forms with files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from kapelle.errors import ContractError, InvalidInput
from kapelle.types.hooks import to_plain
from kapelle.types.strict_json import encode_json

File = Path | bytes | tuple[str, bytes]
"""A file of a form: a path, its bytes, or its name and its bytes."""
Files = Mapping[str, File | Sequence[File]]

Body = tuple[bytes, dict[str, str]]
"""The bytes, and the headers that say what they are."""


def body_of(value: Any, files: Files | None) -> Body:
    """What a request with ``value`` and ``files`` carries.

    Raises:
        InvalidInput: JSON cannot hold ``value``, a file cannot be read, or there are files beside something without names.
    """
    if files is not None:
        return _form(value, files)
    if value is None:
        return b"", {}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), {"content-type": "application/octet-stream"}
    return json_of(value), {"content-type": "application/json"}


_FOREIGN = (ContractError, TypeError, NotImplementedError, ValueError)  # what encoders raise at foreign values


def json_of(value: Any) -> bytes:
    """``value`` as JSON.

    Raises:
        InvalidInput: JSON cannot hold it.
    """
    try:
        return encode_json(value, "the body")
    except _FOREIGN as error:
        raise InvalidInput(str(error)) from None


def _form(value: Any, files: Files) -> Body:
    fields = {} if value is None else value
    if not isinstance(fields, Mapping):
        fields = msgspec.to_builtins(value, enc_hook=to_plain)
    if not isinstance(fields, Mapping):
        raise InvalidInput(f"expected an object beside files, got {type(value).__name__}")
    # Fields are given as parts, too: without a file, httpx would write a form of another kind.
    parts: list[tuple[str, Any]] = [
        (name, (None, encoded(name, text))) for name, one in fields.items() if one is not None for text in _texts(one)
    ]
    parts += [(name, _named(name, one)) for name, given in files.items() for one in _several(given)]
    if not parts:
        return b"--none--\r\n", {"content-type": "multipart/form-data; boundary=none"}
    form = httpx.Request("POST", "http://form", files=parts)
    return form.read(), {"content-type": form.headers["content-type"]}


def _texts(value: Any) -> list[str]:
    """A field's texts: a list of plain values is several of one name; arrays, and what has parts of its own, are JSON."""
    plain = msgspec.to_builtins(value, enc_hook=to_plain)
    several = isinstance(plain, list) and not isinstance(value, np.ndarray)
    if several and not any(isinstance(one, list | dict) for one in plain):
        return [_text(one) for one in plain]
    return [_text(plain)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_of(value).decode()


def _several(given: File | Sequence[File]) -> list[File]:
    return list(given) if isinstance(given, list) else [given]  # type: ignore[list-item]  # a tuple is a name and bytes


def _named(field: str, file: Any) -> Any:
    """A file as httpx takes it."""
    match file:
        case bytes():
            return field, file
        case (str(name), bytes(), *_):
            encoded(field, name)
            return file
        case Path():
            encoded(field, file.name)
        case _:
            raise InvalidInput(f"expected a Path, bytes, or a name and bytes, got {type(file).__name__}", path=field)
    try:
        return file.name, file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", path=field) from None


def encoded(field: str, text: str) -> bytes:
    """A text in UTF-8.

    Raises:
        InvalidInput: naming the field; it has what UTF-8 has not.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # half of a pair, as in names of files that are not UTF-8
        raise InvalidInput(f"not text that UTF-8 can hold: {error}", path=field) from None
