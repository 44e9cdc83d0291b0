from __future__ import annotations

import msgspec
import pytest

from kapelle.errors import InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.fields import read_fields


class Asked(msgspec.Struct):
    inputs: list[int]


decode = msgspec.json.Decoder(Asked).decode


def test_fields_are_read_wherever_the_body_lies() -> None:
    body = b'{"inputs": [1, 2]}'
    assert read_fields(decode, body) == read_fields(decode, memoryview(body)) == Asked([1, 2])


@pytest.mark.parametrize(("body", "path"), [(b'{"inputs": [1, "2"]}', "inputs[1]"), (b"{}", "$"), (b"[]", "$")])
def test_a_field_of_another_type_is_named(body: bytes, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_fields(decode, body)
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b"{", b'{"more": ' + b"[" * 100_000])
def test_what_is_no_json_is_told_as_such(body: bytes) -> None:
    with pytest.raises(HttpError, match="the body is not JSON") as caught:
        read_fields(decode, body)
    assert (caught.value.status, caught.value.code) == (400, "malformed-body")
