from __future__ import annotations

import enum
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from python_multipart.multipart import parse_options_header

from kapelle.client.form import body_of, json_of
from kapelle.errors import InvalidInput
from kapelle.gateway.multipart import read_multipart
from kapelle.gateway.request import Request


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Fields:
    title: str
    size: int


def parsed(value: Any, files: Any) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, bytes]]]]:
    """A form as a gateway reads it."""
    body, headers = body_of(value, files)
    assert parse_options_header(headers["content-type"])[0] == b"multipart/form-data"
    request = Request("POST", b"/", [(b"content-type", headers["content-type"].encode())], None, "1.1")  # type: ignore[arg-type]  # nothing is answered
    request.body = body
    fields, uploads = read_multipart(request)
    return fields, {name: [(one.filename, one.data) for one in several] for name, several in uploads.items()}


def test_bodies() -> None:
    assert body_of(None, None) == (b"", {})
    assert body_of(b"raw", None) == (b"raw", {"content-type": "application/octet-stream"})
    assert body_of({"a": np.arange(2)}, None) == (b'{"a":[0,1]}', {"content-type": "application/json"})
    assert json_of(Fields("t", 1)) == b'{"title":"t","size":1}'


@pytest.mark.parametrize("value", [float("nan"), {"a": object()}, {1j: 2}])
def test_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(InvalidInput):
        json_of(value)


def test_files_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"four")
    files = {"one": tmp_path / "note.txt", "many": [b"1", ("b.bin", b"22")]}
    assert parsed(None, files) == ({}, {"one": [("note.txt", b"four")], "many": [("many", b"1"), ("b.bin", b"22")]})


def test_fields_beside_files() -> None:
    given = {"text": "a b", "colour": Colour.RED, "flag": True, "none": None, "numbers": [1, 2], "array": np.arange(2),
             "object": {"a": 1}, "objects": [{"a": 1}]}  # fmt: skip
    fields, _ = parsed(given, {"file": b""})
    assert fields == {
        "text": ["a b"], "colour": ["red"], "flag": ["true"], "numbers": ["1", "2"], "array": ["[0,1]"],
        "object": ['{"a":1}'], "objects": ['[{"a":1}]'],
    }  # fmt: skip
    assert parsed(Fields("t", 3), {"file": b""})[0] == {"title": ["t"], "size": ["3"]}


def test_a_form_without_files_is_one_all_the_same() -> None:
    assert parsed({"text": "größe", "numbers": [1, 2]}, {}) == ({"text": ["größe"], "numbers": ["1", "2"]}, {})
    assert parsed({"text": "a"}, {"files": []}) == ({"text": ["a"]}, {})
    assert parsed(None, {"files": []}) == ({}, {})


@pytest.mark.parametrize("file", ["note.txt", io.BytesIO(b"x"), ("a", "b"), None, Path("\udcff"), ("\udcff", b"")])
def test_what_is_no_file(file: Any) -> None:
    with pytest.raises(InvalidInput, match=r"expected a Path, bytes, or a name and bytes|UTF-8") as refused:
        body_of(None, {"file": file})
    assert refused.value.path == "file"


def test_what_is_no_form(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected an object beside files, got list"):
        body_of([1], {"file": b""})
    with pytest.raises(InvalidInput, match="not text that UTF-8 can hold") as refused:
        body_of({"text": "\udcff"}, {"file": b""})
    assert refused.value.path == "text"
    with pytest.raises(InvalidInput, match="cannot be read: No such file") as refused:
        body_of(None, {"file": tmp_path / "missing"})
    assert refused.value.path == "file"
