"""The Open Inference Protocol over HTTP: JSON, binary tensors, versions, and requests that lie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.infer_rest import InferEndpoint, place_of, read_inference
from kapelle.gateway.protocols.inference import Inferred, Place
from kapelle.gateway.request import Request
from tests.unit.gateway.protocols.zoo import MODELS, NOWHERE, common, function_of
from tests.unit.gateway.recorder import make_request

X = np.arange(4, dtype=np.float32).reshape(1, 4)


def sent(body: dict[str, Any], binary: bytes = b"", *, length: bytes | None = None) -> Request:
    head = msgspec.json.encode(body)
    headers = []
    if binary or length is not None:
        headers.append((b"inference-header-content-length", b"%d" % len(head) if length is None else length))
    return make_request("POST", b"/v2/models/m/infer", head + binary, *headers)


def an_input(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [1, 4], "datatype": "FP32", **fields}


def in_binary(size: int = 16, **fields: Any) -> dict[str, Any]:
    return an_input(parameters={"binary_data_size": size}, **fields)


def endpoint(name: str = "Doubler") -> InferEndpoint:
    return InferEndpoint(name, MODELS[name], common())


async def answered(request: Request, name: str = "Doubler") -> tuple[bytes, dict[str, Any], bytes]:
    """Content type, JSON and what follows it."""
    asked = endpoint(name)
    kind, body, headers = asked.encode(request, await asked.begin(function_of(name), request, {}))
    length = int(dict(headers).get(b"inference-header-content-length", len(body)))
    return kind, msgspec.json.decode(body[:length]), body[length:]


async def test_json_is_answered_with_json() -> None:
    request = sent({"id": "7", "inputs": [an_input(data=[0, 1, 2, 3])]})
    kind, answer, rest = await answered(request)
    assert (kind, rest) == (b"application/json", b"")
    assert answer == {
        "model_name": "Doubler",
        "model_version": "",
        "id": "7",
        "outputs": [{"name": "y", "shape": [1, 4], "datatype": "FP32", "data": [0.0, 2.0, 4.0, 6.0]}],
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
        {"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}},
    ],
    ids=["all", "one", "default"],
)
async def test_binary_is_answered_with_binary(asked: dict[str, Any]) -> None:
    kind, answer, rest = await answered(sent({"inputs": [in_binary()], **asked}, X.tobytes()))
    assert kind == b"application/octet-stream"
    assert rest == (X * 2).tobytes()
    assert answer["outputs"] == [
        {"name": "y", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    ]


async def test_one_output_may_be_binary_and_another_not() -> None:
    outputs = [{"name": "total", "parameters": {"binary_data": True}}, {"name": "words"}]
    inputs = [
        {"name": "words", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
        {"name": "a", "shape": [1], "datatype": "FP32", "data": [1.5]},
    ]
    request = sent({"inputs": inputs, "outputs": outputs}, b"\x01\x00\x00\x00q")
    _, answer, rest = await answered(request, "Animals.both")
    assert [one.get("data") for one in answer["outputs"]] == [None, ["Q"]]
    assert np.frombuffer(rest, np.float32).tolist() == [3.0]


async def test_numbers_that_json_does_not_have_can_be_had_in_binary() -> None:
    inputs = [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]
    nan = np.array([np.nan], np.float32).tobytes()
    _, _, rest = await answered(
        sent({"inputs": inputs, "parameters": {"binary_data_output": True}}, nan), "Animals.echo"
    )
    assert rest == nan
    with pytest.raises(ContractError, match="NaN"):
        await answered(sent({"inputs": inputs}, nan), "Animals.echo")


async def test_bytes_that_are_no_text_can_be_had_in_binary() -> None:
    inputs = [{"name": "data", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}}]
    with pytest.raises(InvalidInput, match="ask for it in binary"):
        await answered(sent({"inputs": inputs}, b"\x01\x00\x00\x00\xff"), "Animals.raw")


WRONG: dict[str, tuple[Request, str]] = {
    "no json": (make_request("POST", b"/", b"{"), "not JSON"),
    "no inputs": (sent({}), "missing required field `inputs`"),
    "inputs of text": (sent({"inputs": "x"}), "Expected `array`"),
    "shape of text": (sent({"inputs": [an_input(shape="4")]}), "Expected `array`"),
    "shape of floats": (sent({"inputs": [an_input(shape=[1.5], data=[])]}), "Expected `int`"),
    "no data": (sent({"inputs": [an_input()]}), "expected one of data"),
    "data twice": (sent({"inputs": [in_binary(data=[1])]}, X.tobytes()), "expected one of data"),
    "more in binary than came": (sent({"inputs": [in_binary(20)]}, X.tobytes()), "16 bytes are left"),
    "less in binary than came": (sent({"inputs": [in_binary(12)]}, X.tobytes()), "account for 12"),
    "a size below nothing": (sent({"inputs": [in_binary(-1)]}, X.tobytes()), "0 or more"),
    "a size of text": (sent({"inputs": [an_input(parameters={"binary_data_size": "16"})]}), "0 or more"),
    "a size that is a flag": (sent({"inputs": [an_input(parameters={"binary_data_size": True})]}), "0 or more"),
    "a header that is no number": (sent({"inputs": []}, length=b"ten"), "expected a number"),
    "a header beyond the body": (sent({"inputs": []}, length=b"1000"), "expected a number"),
    "a header below nothing": (sent({"inputs": []}, length=b"-1"), "expected a number"),
    "a header within the json": (sent({"inputs": []}, length=b"3"), "not JSON"),
    "a flag of text": (sent({"inputs": [], "parameters": {"binary_data_output": "yes"}}), "true or false"),
    "a classification": (
        sent({"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}),
        "not supported",
    ),
    "memory without its size": (
        sent({"inputs": [an_input(parameters={"shared_memory_region": "r"})]}),
        "shared_memory_byte_size",
    ),
    "memory from elsewhere": (
        sent({"inputs": [an_input(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 16})]}),
        "this machine only",
    ),
    "lists without an end": (make_request("POST", b"/", b'{"parameters":' + b'{"a":' * 100_000), "not JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_requests_that_lie_are_refused(case: str) -> None:
    request, said = WRONG[case]
    with pytest.raises((InvalidInput, HttpError), match=said):
        read_inference(request, NOWHERE, 1 << 20)


def test_a_version_is_the_release_that_the_request_sees() -> None:
    request = make_request()
    request.edition = SimpleNamespace(release="r7")  # type: ignore[assignment]  # all that is looked at
    endpoint().check_version("", request)
    endpoint().check_version("r7", request)
    with pytest.raises(HttpError, match="no version '1'; it serves 'r7'") as refused:
        endpoint().check_version("1", request)
    assert refused.value.status == 404


def test_places_in_memory() -> None:
    assert place_of({}, "x") is None
    said = {"shared_memory_region": "r", "shared_memory_byte_size": 8}
    assert place_of(said, "x") == Place("r", 0, 8)
    assert place_of({**said, "shared_memory_offset": 4}, "x") == Place("r", 4, 8)
    with pytest.raises(InvalidInput):
        place_of({**said, "shared_memory_region": 3}, "x")


async def test_it_is_served_with_and_without_a_version() -> None:
    paths = [one.path for one in endpoint().routes]
    assert paths == ["/v2/models/Doubler/infer", "/v2/models/Doubler/versions/{version}/infer"]


async def test_what_comes_of_it_is_counted() -> None:
    asked = endpoint()
    found: Inferred = await asked.begin(function_of("Doubler"), sent({"inputs": [an_input(data=[0, 1, 2, 3])]}), {})
    assert found.model == "Doubler"
    with pytest.raises(InvalidInput):
        await asked.begin(function_of("Doubler"), sent({"inputs": [an_input(data=[0])]}), {})
    tally = asked.common.statistics.tally(MODELS["Doubler"])
    assert (tally.successes, tally.failures) == (1, 1)
