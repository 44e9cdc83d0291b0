"""``ModelInfer`` of the Open Inference Protocol over gRPC, as an endpoint of the gateway: admitted, timed, counted as all are.

The body of such a request is a serialised ``ModelInferRequest``, and that of its answer a ``ModelInferResponse``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from kapelle.errors import InvalidInput
from kapelle.gateway.endpoint import Answer
from kapelle.gateway.problems import status_of
from kapelle.gateway.protocols.infer_rest import PREFIX, place_of
from kapelle.gateway.protocols.inference import Given, Inference, Inferred, Wanted
from kapelle.gateway.protocols.locality import borrow
from kapelle.gateway.protocols.model_endpoint import Common, ModelEndpoint, release_of
from kapelle.gateway.protocols.models import Model
from kapelle.gateway.protocols.refusals import told
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.protocols.results import as_bytes, into_memory
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.oip.datatypes import BYTES, Data
from kapelle.oip.grpc_messages import MESSAGES

GRPC = b"application/grpc"

# Which of the typed lists has the values of a datatype. Small integers share one; FP16 and BF16 have none.
_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}

_response = MESSAGES["ModelInferResponse"]


class GrpcInferEndpoint(ModelEndpoint):
    """A model under one of its names."""

    def __init__(self, name: str, model: Model, common: Common) -> None:
        super().__init__("grpc", f"{PREFIX}/{name}/infer", name, model, common)

    @property
    def routes(self) -> list[Any]:
        """None: it is not asked over HTTP/1.1."""
        return []

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        self.check_version(request.message.model_version, request)
        return self.ask(function, read_inference(request.message, request, self.common.regions))

    def encode(self, request: Request, value: Inferred) -> Answer:
        """The answer as a serialised message.

        Raises:
            InvalidInput: an output does not fit where it was asked to be put.
        """
        answer = _response(model_name=self.known_as, model_version=release_of(request), id=value.inference.id)
        for produced, wanted in value.outputs:
            output = answer.outputs.add(name=produced.name, datatype=produced.datatype, shape=produced.shape)
            if wanted.place is None:
                # Raw contents stand for all outputs in their order; those in memory have empty ones.
                answer.raw_output_contents.append(bytes(as_bytes(produced)))
                continue
            answer.raw_output_contents.append(b"")
            for name, said in into_memory(produced, wanted.place, self.common.regions).items():
                field = "string_param" if isinstance(said, str) else "int64_param"
                setattr(output.parameters[name], field, said)
        return GRPC, answer.SerializeToString(), ()

    def refusal(self, error: BaseException, request_id: str) -> tuple[int, Answer]:
        """The error's status as HTTP would have it, and its text."""
        return (400 if isinstance(error, InvalidInput) else status_of(error)), (GRPC, told(error).encode(), ())


def read_inference(message: Any, request: Request, regions: Regions) -> Inference:
    """What a ``ModelInferRequest`` asks for.

    Raises:
        InvalidInput: the raw contents are not those of the inputs, or a tensor is not where it is said to be.
    """
    raw = list(message.raw_input_contents)
    parameters = [parameters_of(one) for one in message.inputs]
    places = [place_of(one, f"inputs[{number}]") for number, one in enumerate(parameters)]
    asked = [_wanted(one, f"outputs[{number}]") for number, one in enumerate(message.outputs)]
    if any(places) or any(one.place for one in asked):
        borrow(request)
    awaited = sum(place is None for place in places)
    # Clients differ in whether an input that lies in memory has its (empty) place among the raw contents.
    if raw and len(raw) == len(places) != awaited:
        raw = [one for one, place in zip(raw, places, strict=True) if place is None]
    if raw and len(raw) != awaited:
        raise InvalidInput(f"{len(raw)} raw contents for {awaited} inputs", path="raw_input_contents")
    remaining = iter(raw)
    inputs = []
    for number, (one, place) in enumerate(zip(message.inputs, places, strict=True)):
        path = f"inputs[{number}]"
        content: Data | list[Any]
        if place is not None:
            content = regions.read(place.region, place.offset, place.size)
        elif raw:
            if one.HasField("contents"):
                raise InvalidInput("expected raw contents for all inputs, or for none", path=path)
            content = next(remaining)
        else:
            content = _contents(one, path)
        inputs.append(Given(one.name, one.datatype, tuple(one.shape), content, path))
    return Inference(message.id, inputs, asked or None, binary=True, parameters=parameters_of(message))


def parameters_of(message: Any) -> dict[str, Any]:
    """The parameters of a message as plain values."""
    found = {}
    for name, parameter in message.parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(parameter, choice)
    return found


def _contents(one: Any, path: str) -> list[Any]:
    field = _CONTENTS.get(one.datatype)
    if field is None:
        raise InvalidInput(f"{one.datatype or 'no datatype'} has to come in raw_input_contents", path=path)
    for other, values in one.contents.ListFields():
        if other.name != field and len(values):
            raise InvalidInput(f"{one.datatype} is expected in {field}, found {other.name}", path=f"{path}.contents")
    return list(getattr(one.contents, field))


def _wanted(one: Any, path: str) -> Wanted:
    parameters = parameters_of(one)
    if parameters.get("classification"):
        raise InvalidInput("classification is not supported", path=f"{path}.parameters.classification")
    return Wanted(one.name, binary=True, place=place_of(parameters, path))
