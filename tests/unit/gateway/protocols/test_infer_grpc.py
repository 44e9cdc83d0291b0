"""``ModelInfer``: raw and typed contents, and requests that lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kapelle.errors import InvalidInput, Overloaded
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.infer_grpc import GrpcInferEndpoint, parameters_of, read_inference
from kapelle.oip.grpc_messages import MESSAGES
from tests.unit.gateway.protocols.zoo import MODELS, NOWHERE, common, function_of
from tests.unit.gateway.recorder import make_request

X = np.arange(4, dtype=np.float32)


def a_message(datatype: str = "FP32", shape: tuple[int, ...] = (1, 4), name: str = "x", **fields: Any) -> Any:
    message = MESSAGES["ModelInferRequest"](model_name="m", **fields)
    message.inputs.add(name=name, datatype=datatype, shape=shape)
    return message


def endpoint(name: str) -> GrpcInferEndpoint:
    return GrpcInferEndpoint(name, MODELS[name], common())


async def answered(message: Any, name: str = "Doubler") -> Any:
    request = make_request()
    request.message = message
    asked = endpoint(name)
    _, body, _ = asked.encode(request, await asked.begin(function_of(name), request, {}))
    return MESSAGES["ModelInferResponse"].FromString(body)


async def test_raw_contents_are_answered_raw() -> None:
    answer = await answered(a_message(id="7", raw_input_contents=[X.tobytes()]))
    assert (answer.model_name, answer.id) == ("Doubler", "7")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", [1, 4])
    assert list(answer.raw_output_contents) == [(X * 2).tobytes()]


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 2]),
        ("INT32", "int_contents", [-1, 2]),
        ("INT64", "int64_contents", [-1, 2]),
        ("UINT16", "uint_contents", [1, 2]),
        ("UINT64", "uint64_contents", [1, 2]),
        ("FP32", "fp32_contents", [1.5, 2.5]),
        ("FP64", "fp64_contents", [1.5, 2.5]),
    ],
)
async def test_each_datatype_has_its_typed_contents(datatype: str, field: str, values: list[Any]) -> None:
    message = a_message(datatype, (2,))
    getattr(message.inputs[0].contents, field).extend(values)
    (inference,) = read_inference(message, make_request(), NOWHERE).inputs
    assert inference.content == values
    answer = await answered(message, "Animals.echo")
    assert answer.outputs[0].datatype == datatype


async def test_bytes_and_parameters() -> None:
    message = a_message("BYTES", (2,), "texts")
    message.inputs[0].contents.bytes_contents.extend([b"a", b"bcd"])
    message.parameters["flag"].bool_param = True
    message.parameters["number"].uint64_param = 3
    message.parameters["unset"].SetInParent()
    assert parameters_of(message) == {"flag": True, "number": 3}
    answer = await answered(message, "Animals.embed")
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [1, 1, 1, 3, 3, 3]


def wrong() -> dict[str, tuple[Any, str]]:
    both = a_message(raw_input_contents=[X.tobytes()])
    both.inputs[0].contents.fp32_contents.append(1)
    elsewhere = a_message()
    elsewhere.inputs[0].contents.fp64_contents.extend([1, 2, 3, 4])
    memory = a_message()
    memory.inputs[0].parameters["shared_memory_region"].string_param = "r"
    memory.inputs[0].parameters["shared_memory_byte_size"].int64_param = 16
    partly = a_message()
    partly.inputs[0].parameters["shared_memory_region"].string_param = "r"
    classes = a_message(raw_input_contents=[X.tobytes()])
    classes.outputs.add(name="y").parameters["classification"].int64_param = 3
    return {
        "more raw than inputs": (a_message(raw_input_contents=[b"", b""]), "2 raw contents for 1 inputs"),
        "raw and typed": (both, "raw contents for all inputs, or for none"),
        "in the wrong list": (elsewhere, "expected in fp32_contents, found fp64_contents"),
        "fp16 typed": (a_message("FP16"), "raw_input_contents"),
        "no datatype": (a_message(""), "raw_input_contents"),
        "memory from elsewhere": (memory, "this machine only"),
        "memory without its size": (partly, "shared_memory_byte_size"),
        "a classification": (classes, "not supported"),
    }


@pytest.mark.parametrize("case", wrong())
def test_requests_that_lie_are_refused(case: str) -> None:
    message, said = wrong()[case]
    with pytest.raises((InvalidInput, HttpError), match=said):
        read_inference(message, make_request(), NOWHERE)


async def test_lies_about_lengths_are_refused() -> None:
    for shape in ((1, 5), (2**62, 4), (-1, 4), (0, 4)):
        with pytest.raises(InvalidInput):
            await answered(a_message(shape=shape, raw_input_contents=[X.tobytes()]))


def test_errors_are_a_status_and_a_text() -> None:
    refusal = endpoint("Doubler").refusal
    assert refusal(InvalidInput("no", path="inputs[0]"), "id") == (400, (b"application/grpc", b"inputs[0]: no", ()))
    assert refusal(Overloaded("full"), "id")[0] == 429


def test_it_is_not_asked_over_http() -> None:
    assert endpoint("Doubler").routes == []
