"""The Open Inference Protocol over gRPC: its requests and answers as serialised messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from kapelle.client.asking import Answer, Ask, Options
from kapelle.client.models import ModelMetadata, ModelState, TensorMetadata
from kapelle.client.tensors import array_of, tensors
from kapelle.errors import ContractError
from kapelle.oip.grpc_messages import MESSAGES
from kapelle.types.arrays import Array

_FIELDS = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}


def infer(
    model: str,
    inputs: Mapping[str, Any],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Any],
    options: Options,
) -> Ask[dict[str, Array]]:
    """One inference."""
    message = MESSAGES["ModelInferRequest"](model_name=model)
    for one in tensors(inputs):
        message.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        message.raw_input_contents.append(bytes(one.data))
    for name in outputs or ():
        message.outputs.add(name=name)
    for name, value in parameters.items():
        setattr(message.parameters[name], _FIELDS[type(value)], value)
    return Ask("POST", "ModelInfer", read_outputs, message.SerializeToString(), options=options, rpc=True)


def models(options: Options) -> Ask[list[ModelState]]:
    """The models that there are."""

    def read(answer: Answer) -> list[ModelState]:
        found = _read("RepositoryIndexResponse", answer)
        return [ModelState(one.name, one.version, one.state, one.reason) for one in found.models]

    return Ask("POST", "RepositoryIndex", read, options=options, rpc=True)


def metadata(model: str, options: Options) -> Ask[ModelMetadata]:
    """What one model takes and gives."""

    def read(answer: Answer) -> ModelMetadata:
        found = _read("ModelMetadataResponse", answer)
        inputs, outputs = ([_tensor(one) for one in several] for several in (found.inputs, found.outputs))
        return ModelMetadata(found.name, list(found.versions), found.platform, inputs, outputs)

    asked = MESSAGES["ModelMetadataRequest"](name=model).SerializeToString()
    return Ask("POST", "ModelMetadata", read, asked, options=options, rpc=True)


def live(options: Options) -> Ask[bool]:
    """Whether the server answers."""
    return Ask("POST", "ServerLive", lambda answer: _flag("live", answer), options=options, rpc=True, repeat=False)


def ready(options: Options) -> Ask[bool]:
    """Whether all models can be called."""
    return Ask("POST", "ServerReady", lambda answer: _flag("ready", answer), options=options, rpc=True, repeat=False)


def read_outputs(answer: Answer) -> dict[str, Array]:
    """The outputs by their names.

    Raises:
        ContractError: the answer is not one of the protocol, or its tensors are not raw.
    """
    found = _read("ModelInferResponse", answer)
    if len(found.outputs) != len(found.raw_output_contents):
        raise ContractError(f"{len(found.raw_output_contents)} raw contents for {len(found.outputs)} outputs")
    return {
        one.name: array_of(one.name, one.datatype, tuple(one.shape), data)
        for one, data in zip(found.outputs, found.raw_output_contents, strict=True)
    }


def _read(name: str, answer: Answer) -> Any:
    try:
        return MESSAGES[name].FromString(answer.body)
    except DecodeError:
        raise ContractError(f"the answer is not a {name}") from None


def _flag(field: str, answer: Answer) -> bool:
    return bool(getattr(_read(f"Server{field.title()}Response", answer), field))


def _tensor(one: Any) -> TensorMetadata:
    return TensorMetadata(one.name, one.datatype, list(one.shape))
