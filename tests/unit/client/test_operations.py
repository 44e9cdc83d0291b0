from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
import pytest

from kapelle.client.asking import Answer, Options
from kapelle.client.operations import call, embed, predict, request, stream
from kapelle.errors import ContractError, InvalidInput

OPTIONS = Options()
JSON = {"content-type": "application/json"}


def target(path: str, query: dict[str, Any] | None) -> str:
    return request("GET", path, None, Any, query, None, OPTIONS).target


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        ("/a", None, "/a"),
        ("/a", {"x": 1, "y": True, "z": None}, "/a?x=1&y=true"),
        ("/a", {"x": ["a b", "ö"]}, "/a?x=a+b&x=%C3%B6"),
        ("/a?b=1", {"x": np.array([1, 2])}, "/a?b=1&x=1&x=2"),
        ("/a", {"x": "&="}, "/a?x=%26%3D"),
    ],
)
def test_queries(path: str, query: dict[str, Any] | None, found: str) -> None:
    assert target(path, query) == found


def test_a_query_is_text() -> None:
    with pytest.raises(InvalidInput, match="not text that UTF-8 can hold") as refused:
        target("/a", {"x": "\udcff"})
    assert refused.value.path == "query"


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(InvalidInput, match="begins with /, got 'a'"):
        target("a", None)


@pytest.mark.parametrize(
    ("name", "found"),
    [("Encoder.embed", "/services/Encoder/embed"), ("Encoder", "/services/Encoder"), ("/write", "/write")],
)
def test_names_of_methods(name: str, found: str) -> None:
    assert call(name, None, {}, Any, None, OPTIONS).target == found
    assert stream("POST", name, None, Any, None, OPTIONS).target == found


@pytest.mark.parametrize("name", ["", "a.b.c", "a b", "../x", "http://x"])
def test_what_is_no_method(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected Service.method"):
        call(name, None, {}, Any, None, OPTIONS)


def test_arguments_of_methods() -> None:
    ask = call("E.embed", None, {"sentences": ["a"]}, Any, 2, OPTIONS)
    assert (ask.target, ask.body) == ("/services/E/embed?shard=2", b'{"sentences":["a"]}')
    assert call("E.embed", b"raw", {}, Any, None, OPTIONS).body == b"raw"
    with pytest.raises(InvalidInput, match="got both"):
        call("E.embed", {"a": 1}, {"b": 2}, Any, None, OPTIONS)


def test_predictions() -> None:
    ask = predict("M", np.arange(2), tuple[int, ...], OPTIONS)  # type: ignore[arg-type]  # arrays are sequences to JSON
    assert (ask.target, ask.body) == ("/v1/models/M:predict", b'{"instances":[0,1]}')
    assert ask.read(Answer(200, JSON, b'{"predictions":[1,2]}')) == (1, 2)
    for body, told in [
        (b'{"predictions":["a"]}', "Expected `int`"),
        (b'{"outputs":1}', "got outputs"),
        (b"[]", "object"),
    ]:
        with pytest.raises(ContractError, match=told):
            ask.read(Answer(200, JSON, body))


def test_bytes_of_predictions_are_wrapped() -> None:
    rows = [b"\xff", "text", {"file": b"\0", "count": 1}]
    assert predict("M", rows, Any, OPTIONS).body == (
        b'{"instances":[{"b64":"/w=="},"text",{"file":{"b64":"AA=="},"count":1}]}'
    )


def embeddings(*rows: tuple[int, bytes]) -> Answer:
    data = [{"object": "embedding", "index": at, "embedding": base64.b64encode(row).decode()} for at, row in rows]
    return Answer(200, JSON, msgspec.json.encode({"object": "list", "data": data}))


def test_embeddings() -> None:
    ask = embed("M", ["a", "b"], OPTIONS)
    assert msgspec.json.decode(ask.body) == {"model": "M", "input": ["a", "b"], "encoding_format": "base64"}
    one, two = np.array([1, 2], "<f4").tobytes(), np.array([3, 4], "<f4").tobytes()
    found = ask.read(embeddings((0, one), (1, two)))
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2], [3, 4]]
    for wrong in [((0, one),), ((1, one), (0, two)), ((0, one), (1, one[:4])), ((0, b"123"), (1, b"123"))]:
        with pytest.raises(ContractError):
            ask.read(embeddings(*wrong))
    with pytest.raises(ContractError):
        ask.read(Answer(200, JSON, b'{"data":[{"index":0,"embedding":"?"},{"index":1,"embedding":"?"}]}'))


def test_one_text_is_no_list_of_texts() -> None:
    with pytest.raises(InvalidInput, match="expected a list of texts"):
        embed("M", "a", OPTIONS)
