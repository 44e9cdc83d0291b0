"""An endpoint, ready to be called: its inputs, its outputs, and its measures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import msgspec

from kapelle.core.admission import Lane
from kapelle.declare.apps import EndpointSpec
from kapelle.gateway.heads import check_plain
from kapelle.gateway.inputs import Inputs
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.gateway.request import Header, Request
from kapelle.gateway.routes import InPath
from kapelle.observe.metrics import LATENCY_BUCKETS, Counter, Registry
from kapelle.types.octets import Octets
from kapelle.types.strict_json import encode_json

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
BINARY = b"application/octet-stream"

_astuple = msgspec.structs.astuple

Answer = tuple[bytes, bytes, tuple[Header, ...]]
"""Content type, body, and what other headers an answer has."""


class Traffic:
    """The requests to one endpoint: those being answered, in the order they came, and measures of those that were."""

    def __init__(self, name: str, registry: Registry) -> None:
        self.name = name
        self.lane = Lane(name)
        self.running: dict[Request, None] = {}
        self.seconds = registry.histogram(
            "kapelle_request_seconds", "Requests, from the last byte in to the answer.", LATENCY_BUCKETS, endpoint=name
        )
        registry.gauge(
            "kapelle_requests_in_flight", "Requests being answered.", lambda: len(self.running), endpoint=name
        )
        self._registry = registry
        self._statuses: dict[int, Counter] = {}

    def refusal(self, error: BaseException, request_id: str) -> tuple[int, Answer]:
        """The status and the answer that tell a client about ``error``."""
        status, headers, body = problem(error, request_id)
        return status, (PROBLEM_TYPE, body, headers)

    def count(self, status: int) -> None:
        """A request was answered with ``status``."""
        counter = self._statuses.get(status)
        if counter is None:
            counter = self._statuses[status] = self._registry.counter(
                "kapelle_requests_total", "Requests answered.", endpoint=self.name, status=str(status)
            )
        counter.value += 1


class Endpoint(Traffic):
    """One route. ``function`` names what it calls, among the functions of an edition."""

    def __init__(self, spec: EndpointSpec, default_timeout: float, registry: Registry, function: str = "") -> None:
        super().__init__(spec.name, registry)
        self.spec = spec
        self.function = function or spec.name
        self.aliases: tuple[str, ...] = ()
        """Other paths that it is served at."""
        self.timeout = default_timeout if spec.timeout is None else spec.timeout
        self.inputs = Inputs(spec)

    @property
    def takes_room(self) -> bool:
        """Whether it takes a large body from the memory that services share."""
        return self.inputs.takes_room

    def shift(self, request: Request) -> int:
        """Bytes before the part of a body that is to lie at an even place in memory, less whole even places."""
        return 0

    @property
    def routes(self) -> list[EndpointSpec]:
        """It, at each of its paths."""
        return [self.spec, *(replace(self.spec, path=path) for path in self.aliases)]

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        """Read the arguments and call ``function``, the app's own; the coroutine of its answer.

        Raises:
            InvalidInput, HttpError: the request is not what the endpoint takes.
        """
        try:
            if self.inputs.decode_json is not None:
                begun: Coroutine[Any, Any, Any] = function(*_astuple(self.inputs.decode_json(request.body)))
            else:
                begun = function(**self.inputs.read(request, in_path))
        except HttpError:
            check_plain(request)
            raise
        return begun

    def begin_stream(
        self, function: Callable[..., Any], request: Request, in_path: InPath
    ) -> AsyncGenerator[Any, None]:
        """As ``begin``, for an async generator."""
        try:
            arguments = self.inputs.read(request, in_path)
        except HttpError:
            check_plain(request)
            raise
        return function(**arguments)  # type: ignore[no-any-return]  # user code

    def encode(self, request: Request, value: Any) -> Answer:
        """What ``request`` is answered with: bytes and text as they are, all else as JSON.

        Raises:
            ContractError: NaN or infinity, which JSON does not have.
            TypeError, NotImplementedError: a type that JSON cannot carry.
        """
        if isinstance(value, Octets):
            return BINARY, bytes(value), ()
        if isinstance(value, str):
            return TEXT, value.encode(), ()
        return JSON, encode_json(value), ()
