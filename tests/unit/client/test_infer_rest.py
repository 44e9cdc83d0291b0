from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.client.asking import Answer, Options
from kapelle.client.infer_rest import HEADER_LENGTH, infer, live, metadata, models, read_outputs, ready
from kapelle.client.models import ModelMetadata, ModelState, TensorMetadata
from kapelle.errors import ContractError
from kapelle.gateway.protocols.infer_rest import read_inference
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.request import Request

OPTIONS = Options()


def answer(outputs: list[dict[str, Any]], data: bytes = b"", length: str | None = None) -> Answer:
    head = msgspec.json.encode({"model_name": "m", "outputs": outputs})
    return Answer(200, {HEADER_LENGTH: length or str(len(head))}, head + data)


def test_a_gateway_reads_what_is_written(tmp_path: Any) -> None:
    inputs: dict[str, Any] = {"x": np.arange(4, dtype=np.float32).reshape(2, 2), "words": ["a", "bc"]}
    ask = infer("M/1", inputs, ["y"], {"shard": 3}, OPTIONS)
    assert (ask.method, ask.target) == ("POST", "/v2/models/M%2F1/infer")
    headers = [(name.encode(), value.encode()) for name, value in ask.headers.items()]
    request = Request("POST", b"/", headers, None, "1.1")  # type: ignore[arg-type]  # nothing is answered
    request.body = ask.body
    found = read_inference(request, Regions(tmp_path), 1 << 20)
    assert [(one.name, one.datatype, one.shape) for one in found.inputs] == [
        ("x", "FP32", (2, 2)),
        ("words", "BYTES", (2,)),
    ]
    assert found.inputs[0].content == inputs["x"].tobytes()
    assert found.parameters["shard"] == 3
    assert [(one.name, one.binary) for one in found.wanted or []] == [("y", True)]


def test_all_outputs_where_none_is_named() -> None:
    ask = infer("M", {"x": [1]}, None, {}, OPTIONS)
    head = msgspec.json.decode(ask.body[: int(ask.headers[HEADER_LENGTH])])
    assert "outputs" not in head
    assert head["parameters"] == {"binary_data_output": True}


def test_outputs_as_bytes_and_as_values() -> None:
    outputs: list[dict[str, Any]] = [
        {"name": "a", "datatype": "INT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "INT64", "shape": [1, 1], "data": [7]},
        {"name": "c", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
    ]
    found = read_outputs(answer(outputs, b"\1\0\2\0\1\0\0\0x"))
    assert {name: one.tolist() for name, one in found.items()} == {"a": [1, 2], "b": [[7]], "c": [b"x"]}
    without = Answer(200, {}, msgspec.json.encode({"outputs": outputs[1:2]}))
    assert read_outputs(without)["b"].tolist() == [[7]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer([], length="1e3"), "'1e3' in an answer"),
        (answer([], length="999"), "'999' in an answer"),
        (Answer(200, {}, b"{}"), "missing required field `outputs`"),
        (answer([{"name": "a", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}}], b"1"), "1 are left"),
        (answer([{"name": "a", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": "1"}}], b"1"), "'1' bytes"),
        (answer([{"name": "a", "datatype": "INT8", "shape": [2]}]), "output 'a'"),
    ],
)  # fmt: skip
def test_what_is_no_answer(given: Answer, told: str) -> None:
    with pytest.raises(ContractError, match=told):
        read_outputs(given)


@given(st.binary(max_size=200), st.integers(0, 210))
def test_garbage_is_told(body: bytes, length: int) -> None:
    with pytest.raises(ContractError):
        read_outputs(Answer(200, {HEADER_LENGTH: str(length)}, body))


def test_what_there_is() -> None:
    json = {"content-type": "application/json"}
    assert models(OPTIONS).read(Answer(200, json, b'[{"name":"M","version":"r1","state":"READY","reason":""}]')) == [
        ModelState("M", "r1", "READY")
    ]
    ask = metadata("M", OPTIONS)
    assert (ask.method, ask.target) == ("GET", "/v2/models/M")
    body = b'{"name":"M","versions":["r1"],"platform":"p","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}'
    assert ask.read(Answer(200, json, body)) == ModelMetadata("M", ["r1"], "p", [TensorMetadata("x", "FP32", [-1])])


def test_health_is_asked_once() -> None:
    for ask in (ready(OPTIONS), live(OPTIONS)):
        assert not ask.repeat
        assert ask.read(Answer(200, {}, b"whatever")) is True
