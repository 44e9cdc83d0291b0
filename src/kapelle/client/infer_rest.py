"""The Open Inference Protocol over HTTP: JSON, which the tensors follow as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from kapelle.client.asking import Answer, Ask, Options
from kapelle.client.models import ModelMetadata, ModelState
from kapelle.client.reading import decoded, value_of
from kapelle.client.tensors import Tensor, array_of, array_of_values, tensors
from kapelle.errors import ContractError
from kapelle.types.arrays import Array

HEADER_LENGTH = "inference-header-content-length"

_encode = msgspec.json.Encoder().encode


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class _Response(msgspec.Struct):
    outputs: list[_Output]


def infer(
    model: str,
    inputs: Mapping[str, Any],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Any],
    options: Options,
) -> Ask[dict[str, Array]]:
    """One inference."""
    given = tensors(inputs)
    asked: dict[str, Any] = {
        "inputs": [_shown(one) for one in given],
        "parameters": {**parameters, "binary_data_output": True},
    }
    if outputs is not None:
        asked["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    head = _encode(asked)
    return Ask(
        "POST",
        f"/v2/models/{quote(model, safe='')}/infer",
        read_outputs,
        b"".join((head, *(one.data for one in given))),
        {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))},
        options,
    )


def models(options: Options) -> Ask[list[ModelState]]:
    """The models that there are."""
    return Ask(
        "POST",
        "/v2/repository/index",
        lambda answer: value_of(answer, list[ModelState]),
        b"{}",
        {"content-type": "application/json"},
        options,
    )


def metadata(model: str, options: Options) -> Ask[ModelMetadata]:
    """What one model takes and gives."""
    target = f"/v2/models/{quote(model, safe='')}"
    return Ask("GET", target, lambda answer: value_of(answer, ModelMetadata), options=options)


def live(options: Options) -> Ask[bool]:
    """Whether the gateway answers."""
    return Ask("GET", "/livez", lambda _: True, options=options, repeat=False)


def ready(options: Options) -> Ask[bool]:
    """Whether everything can be called."""
    return Ask("GET", "/readyz", lambda _: True, options=options, repeat=False)


def read_outputs(answer: Answer) -> dict[str, Array]:
    """The outputs by their names.

    Raises:
        ContractError: the answer is not one of the protocol.
    """
    length = answer.headers.get(HEADER_LENGTH, str(len(answer.body)))
    if not length.isdecimal() or int(length) > len(answer.body):
        raise ContractError(f"{HEADER_LENGTH} is {length!r} in an answer of {len(answer.body)} bytes")
    found, at = {}, int(length)
    view = memoryview(answer.body)
    for one in decoded(answer.body[:at], _Response).outputs:
        size, shape = one.parameters.get("binary_data_size"), tuple(one.shape)
        if size is None:
            found[one.name] = array_of_values(one.name, one.datatype, shape, one.data)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(view) - at:
            raise ContractError(f"output {one.name!r} is said to have {size!r} bytes, {len(view) - at} are left")
        found[one.name] = array_of(one.name, one.datatype, shape, view[at : at + size])
        at += size
    return found


def _shown(one: Tensor) -> dict[str, Any]:
    size = {"binary_data_size": len(one.data)}
    return {"name": one.name, "datatype": one.datatype, "shape": one.shape, "parameters": size}
