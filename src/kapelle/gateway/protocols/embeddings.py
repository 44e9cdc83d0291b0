"""``POST /v1/embeddings``: OpenAI's way of asking an encoder, for its many clients.

An encoder is a batched method of texts that gives a row of numbers for each.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec
import numpy as np

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.endpoint import JSON, Answer, Endpoint
from kapelle.gateway.exposure import ANY
from kapelle.gateway.problems import HttpError, explained, problem
from kapelle.gateway.protocols.compression import plain_body
from kapelle.gateway.protocols.fields import read_fields
from kapelle.gateway.protocols.model_endpoint import protocol_spec
from kapelle.gateway.protocols.models import Model
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.observe.metrics import Registry
from kapelle.types.strict_json import encode_json

PATH = "/v1/embeddings"
NAME = "v1:embeddings"
MOST = 2048
"""Texts of one request, as in OpenAI's own service."""
_TYPES = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


_decode = msgspec.json.Decoder(_Request).decode


def encoders(models: list[Model]) -> list[Model]:
    """The models that turn each text into numbers."""
    return [one for one in models if _is_encoder(one)]


def _is_encoder(model: Model) -> bool:
    (first, *others), (given, *more) = model.inputs, model.outputs
    texts = model.batched and first.kind == "list" and first.scalar is str
    numbers = given.kind in ("array", "row") and given.datatype in ("", "FP16", "FP32", "FP64")
    return texts and numbers and not others and not more and not model.exposed.service.sharded


class EmbeddingsEndpoint(Endpoint):
    """All encoders of an app; the request's ``model`` says which."""

    def __init__(self, models: list[Model], default_timeout: float, registry: Registry, max_body: int) -> None:
        super().__init__(protocol_spec(PATH, NAME), default_timeout, registry, function=ANY)
        self._models = {name: model for model in models for name in model.names}
        self._max_body = max_body

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        asked = _read(plain_body(request, self._max_body))
        model = self._models.get(asked.model)
        if model is None:
            known = ", ".join(self._models)
            raise HttpError(404, f"the model {asked.model!r} does not exist; there is {known}", code="model_not_found")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        return _embed(asked, function(model.exposed.name)(texts))

    def encode(self, request: Request, value: tuple[_Request, Any]) -> Answer:
        """A list with an embedding for each text, in their order."""
        asked, vectors = value
        rows = np.asarray(vectors, np.float32)
        if rows.ndim != 2:
            raise ContractError(f"{asked.model} gave an array of shape {rows.shape}; expected a row for each text")
        if asked.dimensions not in (None, rows.shape[1]):
            raise InvalidInput(
                f"the model has {rows.shape[1]} dimensions, which cannot be changed to {asked.dimensions}",
                path="dimensions",
            )
        shown = _base64 if asked.encoding_format == "base64" else _floats
        data = [{"object": "embedding", "index": at, "embedding": shown(row)} for at, row in enumerate(rows)]
        # Tokens are a matter of the encoder's own; they are not counted, and nobody is charged for them.
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return JSON, encode_json({"object": "list", "data": data, "model": asked.model, "usage": usage}), ()

    def refusal(self, error: BaseException, request_id: str) -> tuple[int, Answer]:
        """An error in OpenAI's form."""
        status, headers, _ = problem(error, request_id)
        code, text = explained(error)
        path = error.path if isinstance(error, InvalidInput) and error.path != "$" else None
        if isinstance(error, InvalidInput):
            status = 400
        kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        body = {"error": {"message": text, "type": kind, "param": path, "code": code}}
        return status, (JSON, _encode(body), headers)


def _read(body: bytes | memoryview) -> _Request:
    asked = read_fields(_decode, body)
    texts = asked.input if isinstance(asked.input, list) else [asked.input]
    if not 1 <= len(texts) <= MOST:
        raise InvalidInput(f"expected 1 to {MOST} texts, got {len(texts)}", path="input")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput("expected text; tokens are not taken", path=f"input[{number}]")
        if not text:
            raise InvalidInput("expected text, got an empty one", path=f"input[{number}]")
    return asked


async def _embed(asked: _Request, embedding: Coroutine[Any, Any, Any]) -> tuple[_Request, Any]:
    return asked, await embedding


def _floats(row: np.ndarray[Any, np.dtype[np.float32]]) -> list[float]:
    values: list[float] = row.tolist()
    return values


def _base64(row: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")
