from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kapelle.client.asking import Answer, Options
from kapelle.client.infer_grpc import infer, live, metadata, models, read_outputs, ready
from kapelle.client.models import ModelMetadata, ModelState, TensorMetadata
from kapelle.errors import ContractError
from kapelle.oip.grpc_messages import MESSAGES

OPTIONS = Options()


def answer(message: str, **fields: object) -> Answer:
    return Answer(200, {}, MESSAGES[message](**fields).SerializeToString())


def test_an_inference() -> None:
    inputs: dict[str, Any] = {"x": np.arange(2, dtype=np.float32), "words": ["a"]}
    ask = infer("M", inputs, ["y"], {"shard": 3, "key": "k", "flag": True, "share": 0.5}, OPTIONS)
    assert ask.rpc
    assert ask.target == "ModelInfer"
    message = MESSAGES["ModelInferRequest"].FromString(ask.body)
    assert message.model_name == "M"
    assert [(one.name, one.datatype, list(one.shape)) for one in message.inputs] == [
        ("x", "FP32", [2]),
        ("words", "BYTES", [1]),
    ]
    assert list(message.raw_input_contents) == [inputs["x"].tobytes(), b"\1\0\0\0a"]
    assert [one.name for one in message.outputs] == ["y"]
    assert message.parameters["shard"].int64_param == 3
    assert message.parameters["key"].string_param == "k"
    assert message.parameters["flag"].bool_param is True
    assert message.parameters["share"].double_param == 0.5


def test_outputs() -> None:
    message = MESSAGES["ModelInferResponse"](raw_output_contents=[b"\1\2"])
    message.outputs.add(name="y", datatype="INT8", shape=[1, 2])
    found = read_outputs(Answer(200, {}, message.SerializeToString()))
    assert {name: one.tolist() for name, one in found.items()} == {"y": [[1, 2]]}


def test_what_is_no_answer() -> None:
    with pytest.raises(ContractError, match="not a ModelInferResponse"):
        read_outputs(Answer(200, {}, b"\xff"))
    message = MESSAGES["ModelInferResponse"]()
    message.outputs.add(name="y", datatype="INT8", shape=[1])
    with pytest.raises(ContractError, match="0 raw contents for 1 outputs"):
        read_outputs(Answer(200, {}, message.SerializeToString()))


def test_what_there_is() -> None:
    index = answer("RepositoryIndexResponse", models=[{"name": "M", "version": "r1", "state": "READY"}])
    assert models(OPTIONS).read(index) == [ModelState("M", "r1", "READY")]
    ask = metadata("M", OPTIONS)
    assert MESSAGES["ModelMetadataRequest"].FromString(ask.body).name == "M"
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1]}
    found = answer("ModelMetadataResponse", name="M", versions=["r1"], platform="p", inputs=[tensor])
    assert ask.read(found) == ModelMetadata("M", ["r1"], "p", [TensorMetadata("x", "FP32", [-1])])


def test_health_is_asked_once() -> None:
    assert not ready(OPTIONS).repeat
    assert ready(OPTIONS).read(answer("ServerReadyResponse", ready=True)) is True
    assert ready(OPTIONS).read(answer("ServerReadyResponse")) is False
    assert live(OPTIONS).read(answer("ServerLiveResponse", live=True)) is True
