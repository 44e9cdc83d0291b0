"""The Open Inference Protocol against anything at all: what a model gets is what it declares, or the request is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.embeddings import EmbeddingsEndpoint, encoders
from kapelle.gateway.protocols.infer_grpc import GrpcInferEndpoint
from kapelle.gateway.protocols.infer_rest import InferEndpoint
from kapelle.gateway.protocols.models import models_of
from kapelle.gateway.protocols.predict import PredictEndpoint
from kapelle.observe.metrics import Registry
from kapelle.oip.datatypes import NAMES
from kapelle.oip.grpc_messages import MESSAGES
from tests.unit.gateway.protocols.zoo import MODELS, common, exposed, function_of
from tests.unit.gateway.recorder import make_request

REFUSALS = (InvalidInput, HttpError)
NAMED = sorted(name for name, model in MODELS.items() if name == model.name and name != "Animals.bad")

REST = {name: InferEndpoint(name, MODELS[name], common()) for name in NAMED}
GRPC = {name: GrpcInferEndpoint(name, MODELS[name], common()) for name in NAMED}
V1 = {name: PredictEndpoint(name, MODELS[name], common()) for name in NAMED}
OPENAI = EmbeddingsEndpoint(encoders(models_of(exposed())), 1, Registry(), 1 << 20)

extents = st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**62, 2**63 - 1])
shapes = st.lists(extents, max_size=4)
datatypes = st.sampled_from(sorted(NAMES)) | st.text(max_size=6)
names = st.sampled_from(["x", "a", "words", "scale", "texts", "rows", "flags", "data", "y", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)
parameters = st.dictionaries(
    st.sampled_from(
        ["binary_data_size", "binary_data", "classification", "shared_memory_region", "shared_memory_byte_size"]
    ),
    st.none() | st.booleans() | st.integers(-5, 40) | st.text(max_size=3),
    max_size=3,
)
inputs = st.fixed_dictionaries(
    {"name": names, "shape": shapes, "datatype": datatypes},
    optional={"data": st.lists(values, max_size=6), "parameters": parameters},
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(inputs, max_size=3)},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": names}, optional={"parameters": parameters}), max_size=2),
        "id": st.text(max_size=5),
        "parameters": st.dictionaries(st.sampled_from(["binary_data_output", "shard"]), values, max_size=2),
    },
)


def checked(name: str) -> Any:
    """The model's function, which looks first at what it was given."""
    model, function = MODELS[name], function_of(name)
    specs = dict(zip(model.exposed.method.signature.names, model.inputs, strict=True))

    async def look(*rows: Any, **arguments: Any) -> Any:
        given = arguments or dict(zip(specs, rows, strict=True))
        for parameter, value in given.items():
            spec = specs[parameter]
            if spec.kind == "array":
                assert isinstance(value, np.ndarray)
                assert value.flags.aligned
                assert spec.shape is None or len(value.shape) == len(spec.shape)
                assert (
                    spec.datatype in ("", "BF16")
                    or value.dtype == {"FP32": np.float32, "INT32": np.int32}[spec.datatype]
                )
            elif spec.kind == "scalar":
                assert type(value) is spec.scalar
            elif spec.kind == "list":
                assert all(type(one) is spec.scalar for one in value)
        return await function(*rows, **arguments)

    return look


def run(endpoint: Any, name: str, request: Any) -> None:
    """An answer or a refusal; anything else is a fault."""

    async def ask() -> None:
        found: Coroutine[Any, Any, Any] = endpoint.begin(
            checked(name) if endpoint is not OPENAI else checked, request, {}
        )
        endpoint.encode(request, await found)

    try:
        asyncio.run(ask())
    except REFUSALS as error:
        status, (_, body, _) = endpoint.refusal(error, "id")
        assert 400 <= status < 500
        assert body
    except ContractError as error:
        if "JSON cannot carry" not in error.detail:
            raise


# User code may divide by what a client sends; that is its own affair.
@settings(max_examples=300)
@given(st.sampled_from(NAMED), requests, st.binary(max_size=64), st.none() | st.integers(-2, 500))
def test_rest(name: str, body: dict[str, Any], binary: bytes, length: int | None) -> None:
    with np.errstate(all="ignore"):
        head = msgspec.json.encode(body)
        said = b"%d" % (len(head) if length is None else length)
        headers = [(b"inference-header-content-length", said)] if binary or length is not None else []
        run(REST[name], name, make_request("POST", b"/", head + binary, *headers))


@settings(max_examples=300)
@given(st.sampled_from(NAMED), st.binary(max_size=300), st.binary(max_size=5))
@example("Doubler.double", b'{"inputs": [' * 30, b"3")
def test_rest_against_noise(name: str, body: bytes, length: bytes) -> None:
    headers = [(b"inference-header-content-length", length)] if length else []
    run(REST[name], name, make_request("POST", b"/", body, *headers))


@settings(max_examples=200)
@given(
    st.sampled_from(NAMED),
    st.fixed_dictionaries(
        {}, optional={"instances": values, "inputs": values | st.dictionaries(names, values, max_size=3)}
    ),
)
def test_v1(name: str, body: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        run(V1[name], name, make_request("POST", b"/", msgspec.json.encode(body)))


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {"model": st.sampled_from(["Animals.embed", "x"])},
        optional={"input": values, "encoding_format": st.text(max_size=6), "dimensions": values},
    )
)
def test_embeddings(body: dict[str, Any]) -> None:
    run(OPENAI, "", make_request("POST", b"/", msgspec.json.encode(body)))


contents = st.dictionaries(
    st.sampled_from(["bool_contents", "int_contents", "uint_contents", "fp32_contents", "fp64_contents"]),
    st.lists(st.integers(0, 1), max_size=5),
    max_size=2,
)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    message = MESSAGES["ModelInferRequest"](model_name="m")
    for _ in range(draw(st.integers(0, 3))):
        shape = draw(st.lists(extents.filter(lambda extent: abs(extent) < 2**63), max_size=4))
        one = message.inputs.add(name=draw(names), datatype=draw(datatypes), shape=shape)
        for field, found in draw(contents).items():
            getattr(one.contents, field).extend([bool(each) for each in found] if field.startswith("bool") else found)
        for name, value in draw(parameters).items():
            if isinstance(value, bool):
                one.parameters[name].bool_param = value
            elif isinstance(value, int):
                one.parameters[name].int64_param = value
            elif isinstance(value, str):
                one.parameters[name].string_param = value
    message.raw_input_contents.extend(draw(st.lists(st.binary(max_size=32), max_size=3)))
    return message


@settings(max_examples=300)
@given(st.sampled_from(NAMED), messages())
def test_grpc(name: str, message: Any) -> None:
    request = make_request()
    request.message = message
    with np.errstate(all="ignore"):
        run(GRPC[name], name, request)
