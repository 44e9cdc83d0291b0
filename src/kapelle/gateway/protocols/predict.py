"""``POST /v1/models/{model}:predict``: the protocol of TensorFlow Serving and of KServe's version 1.

``{"instances": [...]}`` has a value for each row, or an object with a value for each input; ``{"inputs": ...}`` has whole
tensors. Bytes that are no text come as ``{"b64": "..."}``. The answer is ``{"predictions": [...]}``, or ``{"outputs": ...}``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import numpy as np

from kapelle.errors import InvalidInput
from kapelle.gateway.endpoint import JSON, Answer
from kapelle.gateway.protocols.compression import plain_body
from kapelle.gateway.protocols.fields import read_fields
from kapelle.gateway.protocols.inference import Given, Inference, Inferred, Produced
from kapelle.gateway.protocols.model_endpoint import Common, ModelEndpoint
from kapelle.gateway.protocols.models import Model, TensorSpec
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.oip.datatypes import BYTES
from kapelle.types.strict_json import encode_json

PREFIX = "/v1/models"
_PACKED = "b64"


class _Request(msgspec.Struct):
    instances: list[Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: Any = msgspec.UNSET


_decode = msgspec.json.Decoder(_Request).decode


class PredictEndpoint(ModelEndpoint):
    """A model under one of its names."""

    def __init__(self, name: str, model: Model, common: Common) -> None:
        super().__init__("v1", f"{PREFIX}/{name}:predict", name, model, common)

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        return self.ask(function, read_prediction(plain_body(request, self.common.max_body), self.model))

    def encode(self, request: Request, value: Inferred) -> Answer:
        """Predictions by rows, where instances were given, and whole outputs where inputs were.

        Raises:
            InvalidInput: an output is not text, or has no row for each prediction.
            ContractError: NaN or infinity, which JSON does not have.
        """
        outputs = {produced.name: _values(produced) for produced, _ in value.outputs}
        only = next(iter(outputs.values())) if len(outputs) == 1 else None
        if value.inference.parameters:
            return JSON, encode_json({"outputs": outputs if only is None else only}), ()
        if only is None:
            # A tensor of no dimension is one value, and has no rows at all.
            counts = {len(values) if isinstance(values, list) else None for values in outputs.values()}
            if len(counts) > 1 or None in counts:
                raise InvalidInput("the outputs have different numbers of rows; ask with inputs in place of instances")
            rows = zip(*outputs.values(), strict=True)
            return JSON, encode_json({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}), ()
        return JSON, encode_json({"predictions": only}), ()


def read_prediction(body: bytes | memoryview, model: Model) -> Inference:
    """What a request asks for; its ``parameters`` say whether it gave whole tensors.

    Raises:
        InvalidInput: the fields are not those of the protocol, or of the model.
        HttpError: the body is not JSON.
    """
    asked = read_fields(_decode, body)
    by_rows = asked.instances is not msgspec.UNSET
    if by_rows == (asked.inputs is not msgspec.UNSET):
        raise InvalidInput("expected one of instances and inputs")
    columns = _columns(asked.instances, model) if by_rows else _whole(asked.inputs, model)
    known = {spec.name: spec for spec in model.inputs}
    place = "instances" if by_rows else "inputs"
    inputs = [_given(name, known.get(name), values, f"{place}.{name}") for name, values in columns.items()]
    return Inference("", inputs, None, parameters={} if by_rows else {"whole": True})


def _columns(instances: Any, model: Model) -> dict[str, Any]:
    """Rows as columns."""
    if not instances:
        raise InvalidInput("expected at least one instance", path="instances")
    if not _is_object(instances[0]):
        return {_only(model, "instances").name: instances}
    names = instances[0].keys()
    for number, one in enumerate(instances):
        if not _is_object(one) or one.keys() != names:
            expected = ", ".join(names)
            raise InvalidInput(f"expected an object with {expected}, like the first", path=f"instances[{number}]")
    return {name: [one[name] for one in instances] for name in names}


def _whole(inputs: Any, model: Model) -> dict[str, Any]:
    return inputs if _is_object(inputs) else {_only(model, "inputs").name: inputs}


def _is_object(value: Any) -> bool:
    """Whether it has values by the names of inputs, and is not one value of bytes."""
    return isinstance(value, dict) and value.keys() != {_PACKED}


def _only(model: Model, place: str) -> TensorSpec:
    required = [spec for spec in model.inputs if spec.required] or list(model.inputs)
    if len(required) > 1:
        names = ", ".join(spec.name for spec in required)
        raise InvalidInput(f"{model.name} takes {names}; expected an object with these", path=place)
    return required[0]


def _given(name: str, spec: TensorSpec | None, values: Any, path: str) -> Given:
    """Values with the shape that they have; an unknown name is left to whoever checks inputs."""
    datatype = (spec.datatype if spec is not None else "") or "FP32"
    values = values if isinstance(values, list) else [values]
    if datatype == BYTES:
        return Given(name, datatype, (len(values),), [_unpacked(one, path) for one in values], path)
    try:
        shape = np.shape(values)
    except ValueError:
        raise InvalidInput(
            "expected rectangular lists: those of one level must have the same length", path=path
        ) from None
    return Given(name, datatype, shape, values, path)


def _unpacked(value: Any, path: str) -> Any:
    """The bytes of ``{"b64": "..."}``; any other value as it is."""
    if not isinstance(value, dict) or _is_object(value):
        return value
    try:
        return base64.b64decode(value[_PACKED], validate=True)
    except (ValueError, TypeError):
        raise InvalidInput(f"expected base64 in {_PACKED}, got {value[_PACKED]!r:.40}", path=path) from None


def _values(produced: Produced) -> Any:
    if not isinstance(produced.value, list):
        return produced.value.tolist()
    try:
        return [one.decode() for one in produced.value]
    except UnicodeDecodeError:
        raise InvalidInput(f"output {produced.name!r} is not text, which JSON could hold") from None
