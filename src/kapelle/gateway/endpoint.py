"""An endpoint, ready to be called: its inputs, its function bound to the app, its outputs, and its measures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec

from kapelle.core.admission import Lane
from kapelle.declare.apps import EndpointSpec
from kapelle.gateway.inputs import Arguments, Inputs
from kapelle.gateway.request import Request
from kapelle.observe.metrics import LATENCY_BUCKETS, Counter, Registry
from kapelle.types.hooks import to_plain

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
BINARY = b"application/octet-stream"

_encode_json = msgspec.json.Encoder(enc_hook=to_plain).encode
_astuple = msgspec.structs.astuple


class Endpoint:
    """One route of the app."""

    def __init__(self, spec: EndpointSpec, app: Any, default_timeout: float, registry: Registry) -> None:
        self.spec = spec
        self.inputs = Inputs(spec)
        self.timeout = default_timeout if spec.timeout is None else spec.timeout
        self.lane = Lane(spec.name)
        self._function: Callable[..., Any] = getattr(app, spec.name)
        self._registry = registry
        self.seconds = registry.histogram(
            "kapelle_request_seconds", "Requests, from the last byte in to the answer.", LATENCY_BUCKETS, endpoint=spec.name
        )
        self._statuses: dict[int, Counter] = {}
        registry.gauge("kapelle_requests_in_flight", "Requests being answered.", lambda: self.lane.count, endpoint=spec.name)

    def begin(self, request: Request, in_path: dict[str, str]) -> Coroutine[Any, Any, Any]:
        """Read the arguments and call the app; the coroutine of its answer.

        Raises:
            InvalidInput, HttpError: the request is not what the endpoint takes.
        """
        if self.inputs.decode_json is not None:
            return self._function(*_astuple(self.inputs.decode_json(request.body)))  # type: ignore[no-any-return]  # user code
        return self._function(**self.inputs.read(request, in_path))  # type: ignore[no-any-return]  # user code

    def begin_stream(self, request: Request, in_path: dict[str, str]) -> AsyncIterator[Any]:
        """As ``begin``, for an async generator."""
        arguments: Arguments = self.inputs.read(request, in_path)
        return self._function(**arguments)  # type: ignore[no-any-return]  # user code

    def count(self, status: int) -> None:
        """A request was answered with ``status``."""
        counter = self._statuses.get(status)
        if counter is None:
            counter = self._statuses[status] = self._registry.counter(
                "kapelle_requests_total", "Requests answered.", endpoint=self.spec.name, status=str(status)
            )
        counter.value += 1


def encode(value: Any) -> tuple[bytes, bytes]:
    """An answer as (content type, body): bytes and text as they are, all else as JSON.

    Raises:
        ContractError: NaN or infinity in an array.
        TypeError, NotImplementedError: a type that JSON cannot carry.
    """
    if isinstance(value, bytes | bytearray):
        return BINARY, bytes(value)
    if isinstance(value, str):
        return TEXT, value.encode()
    return JSON, _encode_json(value)
