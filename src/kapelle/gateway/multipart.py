"""``multipart/form-data`` bodies, read with python-multipart."""

from __future__ import annotations

import logging
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from kapelle.declare.parameters import Upload
from kapelle.errors import InvalidInput
from kapelle.gateway.pieces import add_piece
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Request
from kapelle.wire.body import Buffer

# It warns of each malformed body; the client is told, and could flood the log.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

MAX_PARTS = 256


class _Part:
    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[Buffer] = []

    @property
    def data(self) -> bytes:
        """What is in it, copied once from the body."""
        return b"".join(self.pieces)


class _Collector:
    """Gathers parts from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self._name = b""
        self._value = b""
        self.ended = False

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise InvalidInput(f"over {MAX_PARTS} parts in the multipart body", path="form")
        self.parts.append(_Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        add_piece(self.parts[-1].pieces, memoryview(data)[start:end])

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        # The parser bounds the number and the length of headers.
        self.parts[-1].headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end(self) -> None:
        self.ended = True


def read_multipart(request: Request) -> tuple[dict[str, list[str]], dict[str, list[Upload]]]:
    """The fields and the files of a request's body, by name.

    Raises:
        HttpError: the body is not multipart, or is malformed.
        InvalidInput: a part has no name, or is no text where text belongs.
    """
    kind, options = parse_options_header(request.header(b"content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise HttpError(415, "expected a multipart/form-data body with a boundary, as `curl -F` sends")
    collector = _Collector()
    parser = MultipartParser(boundary, collector.callbacks())  # type: ignore[arg-type]  # its TypedDict is private
    try:
        parser.write(_from_first_boundary(bytes(request.content), b"--" + boundary))
        parser.finalize()
    except FormParserError as error:
        raise HttpError(400, f"malformed multipart body: {error}", code="malformed-body") from None
    if not collector.ended:
        raise HttpError(400, "the multipart body ends without its closing boundary", code="malformed-body")
    return _sort(collector.parts)


def _from_first_boundary(body: bytes, delimiter: bytes) -> bytes:
    """A body without what stands before its first boundary, which is to be ignored (RFC 2046, 5.1.1)."""
    start = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter)
    return body[start + 2 :] if start > 0 else body


def _sort(parts: list[_Part]) -> tuple[dict[str, list[str]], dict[str, list[Upload]]]:
    fields: dict[str, list[str]] = {}
    files: dict[str, list[Upload]] = {}
    for part in parts:
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise InvalidInput("a part of the multipart body has no name", path="form")
        filename = options.get(b"filename")
        if filename is not None:
            content_type = part.headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
            upload = Upload(filename.decode("utf-8", "replace"), content_type, part.data)
            files.setdefault(name, []).append(upload)
            continue
        try:
            fields.setdefault(name, []).append(part.data.decode("utf-8"))
        except UnicodeDecodeError:
            raise InvalidInput("expected UTF-8 text", path=f"form.{name}") from None
    return fields, files
