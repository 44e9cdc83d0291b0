"""``POST /v2/models/{model}/infer``: the Open Inference Protocol over HTTP, with JSON and binary tensors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from kapelle.errors import InvalidInput
from kapelle.gateway.endpoint import BINARY, JSON, Answer
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.compression import plain_body
from kapelle.gateway.protocols.fields import read_fields
from kapelle.gateway.protocols.inference import Given, Inference, Inferred, Place, Produced, Wanted
from kapelle.gateway.protocols.locality import borrow
from kapelle.gateway.protocols.model_endpoint import Common, ModelEndpoint, release_of
from kapelle.gateway.protocols.models import Model
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.protocols.results import as_bytes, into_memory
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.oip.datatypes import Data
from kapelle.types.strict_json import encode_json
from kapelle.wire.payload import ALIGNMENT

PREFIX = "/v2/models"
_HEADER_LENGTH = b"inference-header-content-length"


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


_decode = msgspec.json.Decoder(_Request).decode


class InferEndpoint(ModelEndpoint):
    """A model under one of its names."""

    def __init__(self, name: str, model: Model, common: Common) -> None:
        super().__init__("v2", f"{PREFIX}/{name}/infer", name, model, common)
        self.aliases = (f"{PREFIX}/{name}/versions/{{version}}/infer",)

    @property
    def takes_room(self) -> bool:
        """Always: tensors are views of the body."""
        return True

    def shift(self, request: Request) -> int:
        """What has the binary data after the JSON begin at an even place."""
        length = request.header(_HEADER_LENGTH)
        return -int(length) % ALIGNMENT if length.isdigit() else 0

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        self.check_version(in_path.get("version", ""), request)
        return self.ask(function, read_inference(request, self.common.regions, self.common.max_body))

    def encode(self, request: Request, value: Inferred) -> Answer:
        """The answer in JSON, followed by the outputs that were asked for in binary.

        Raises:
            InvalidInput: an output does not fit where it was asked to be put.
            ContractError: NaN or infinity, asked for in JSON.
        """
        outputs: list[dict[str, Any]] = []
        parts: list[Data] = []
        for produced, wanted in value.outputs:
            shown: dict[str, Any] = {"name": produced.name, "shape": produced.shape, "datatype": produced.datatype}
            if wanted.place is not None:
                shown["parameters"] = into_memory(produced, wanted.place, self.common.regions)
            elif wanted.binary:
                data = as_bytes(produced)
                shown["parameters"] = {"binary_data_size": len(data)}
                parts.append(data)
            else:
                shown["data"] = _as_values(produced)
            outputs.append(shown)
        answer: dict[str, Any] = {
            "model_name": self.known_as, "model_version": release_of(request), "outputs": outputs,
        }  # fmt: skip
        if value.inference.id:
            answer["id"] = value.inference.id
        head = encode_json(answer)
        if not parts:
            return JSON, head, ()
        return BINARY, b"".join((head, *parts)), ((_HEADER_LENGTH, b"%d" % len(head)),)


def read_inference(request: Request, regions: Regions, max_body: int) -> Inference:
    """What a request asks for.

    Raises:
        InvalidInput: a tensor's place in the body or in shared memory is not there; the JSON has other fields.
        HttpError: the body cannot be read.
    """
    body = plain_body(request, max_body)
    head, rest = _split(body, request.header(_HEADER_LENGTH))
    asked = read_fields(_decode, head)
    inputs, at = [], 0
    for number, one in enumerate(asked.inputs):
        path = f"inputs[{number}]"
        place = place_of(one.parameters, path)
        if place is not None:
            borrow(request)
        content, at = _content(one, place, rest, at, regions, path)
        inputs.append(Given(one.name, one.datatype, tuple(one.shape), content, path))
    if at != len(rest):
        raise InvalidInput(f"{len(rest)} bytes follow the JSON, the inputs account for {at}", path="inputs")
    wanted = None
    if asked.outputs:
        default = _flag(asked.parameters, "binary_data_output", "parameters")
        wanted = [_wanted(one, default, f"outputs[{number}]") for number, one in enumerate(asked.outputs)]
        if any(one.place is not None for one in wanted):
            borrow(request)
    binary = _flag(asked.parameters, "binary_data_output", "parameters")
    return Inference(asked.id, inputs, wanted, binary, asked.parameters)


def _split(body: bytes | memoryview, length: bytes) -> tuple[bytes | memoryview, memoryview]:
    """The JSON at the beginning of a body, and the binary data after it."""
    if not length:
        return body, memoryview(b"")
    if not length.isdigit() or int(length) > len(body):
        shown = length[:40].decode("latin-1")
        raise HttpError(
            400, f"inference-header-content-length is {shown!r}; expected a number up to the body's {len(body)} bytes"
        )
    size = int(length)
    return body[:size], memoryview(body)[size:]


def _content(
    asked: _Input, place: Place | None, rest: memoryview, at: int, regions: Regions, path: str
) -> tuple[Data | list[Any], int]:
    """The values of an input, and where the next one's binary data begin."""
    size = _number(asked.parameters, "binary_data_size", path)
    sources = [size is not None, place is not None, asked.data is not msgspec.UNSET]
    if sum(sources) != 1:
        raise InvalidInput(
            "expected one of data, parameters.binary_data_size and parameters.shared_memory_region", path=path
        )
    if place is not None:
        return regions.read(place.region, place.offset, place.size), at
    if size is not None:
        if size > len(rest) - at:
            raise InvalidInput(
                f"binary_data_size is {size}, {len(rest) - at} bytes are left",
                path=f"{path}.parameters.binary_data_size",
            )
        return rest[at : at + size], at + size
    return asked.data or [], at


def _wanted(asked: _Output, default: bool, path: str) -> Wanted:
    if _number(asked.parameters, "classification", path):
        raise InvalidInput("classification is not supported", path=f"{path}.parameters.classification")
    binary = _flag(asked.parameters, "binary_data", path, default)
    return Wanted(asked.name, binary, place_of(asked.parameters, path))


def place_of(parameters: dict[str, Any], path: str) -> Place | None:
    """Where in shared memory a tensor lies; None where it does not.

    Raises:
        InvalidInput: that is said in part only, or in other types.
    """
    region = parameters.get("shared_memory_region")
    if region is None:
        return None
    size = _number(parameters, "shared_memory_byte_size", path)
    if not isinstance(region, str) or size is None:
        raise InvalidInput(
            "expected shared_memory_region (text) with shared_memory_byte_size", path=f"{path}.parameters"
        )
    return Place(region, _number(parameters, "shared_memory_offset", path) or 0, size)


def _number(parameters: dict[str, Any], name: str, path: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInput(f"expected a number of 0 or more, got {value!r}", path=f"{path}.parameters.{name}")
    return value


def _flag(parameters: dict[str, Any], name: str, path: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"expected true or false, got {value!r}", path=f"{path}.parameters.{name}")
    return value


def _as_values(produced: Produced) -> list[Any]:
    if isinstance(produced.value, list):
        try:
            return [one.decode() for one in produced.value]
        except UnicodeDecodeError:
            raise InvalidInput(
                f"output {produced.name!r} is not text; ask for it in binary (parameters.binary_data)", path="outputs"
            ) from None
    return produced.value.reshape(-1).tolist()
