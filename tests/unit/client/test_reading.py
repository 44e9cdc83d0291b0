from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from kapelle.client.asking import Answer
from kapelle.client.reading import decoded, is_json, value_of
from kapelle.errors import ContractError


class Match(msgspec.Struct):
    text: str
    score: float = 0.0


@dataclass
class Plain:
    text: str


def answer(body: bytes, kind: str = "application/json") -> Answer:
    return Answer(200, {"content-type": kind}, body)


@pytest.mark.parametrize(
    ("given", "returns", "found"),
    [
        (answer(b'{"text":"a"}'), Any, {"text": "a"}),
        (answer(b'{"text":"a"}'), Match, Match("a")),
        (answer(b'[{"text":"a"}]'), list[Plain], [Plain("a")]),
        (answer(b'"a"'), str, "a"),
        (answer(b"1", "application/problem+json"), int, 1),
        (answer("größe".encode(), "text/plain; charset=utf-8"), Any, "größe"),
        (answer(b"a", "text/plain"), str, "a"),
        (answer(b"\xff", "image/png"), Any, b"\xff"),
        (answer(b"1"), bytes, b"1"),
        (answer(b"", ""), Any, None),
        (answer(b"", ""), None, None),
        (answer(b"null"), None, None),
    ],
)
def test_values(given: Answer, returns: Any, found: object) -> None:
    assert value_of(given, returns) == found


def test_arrays() -> None:
    assert value_of(answer(b"[1,2]"), np.ndarray).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "returns", "told"),
    [
        (answer(b'{"text":1}'), Match, r"Expected `str`, got `int` \(at \$\.text\)"),
        (answer(b"{"), Any, "the answer is not JSON"),
        (answer(b'"\xff"'), Any, "the answer is not JSON"),
        (answer(b"[" * 100_000), Any, "the answer is not JSON"),
        (answer(b"<p>", "text/html"), Match, "expected JSON, got 3 bytes of text/html"),
        (answer(b"\xff", "text/plain"), Any, r"not in UTF-8 \(byte 0\)"),
    ],
)
def test_what_was_not_expected(given: Answer, returns: Any, told: str) -> None:
    with pytest.raises(ContractError, match=told):
        value_of(given, returns)


def test_types_of_json() -> None:
    assert [is_json(one) for one in ("application/json", "application/ld+json", "text/json5", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert decoded(b"[1]", tuple[int]) == (1,)
