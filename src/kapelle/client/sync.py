"""``Client``: a gateway's client for threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import httpx
import numpy as np
from numpy.typing import NDArray

from kapelle.client import inference, operations, over_http
from kapelle.client.asking import Answer, Ask, CallOptions, Failure, Options, T
from kapelle.client.attempts import Course
from kapelle.client.events import Items
from kapelle.client.form import Files
from kapelle.client.inference import Way
from kapelle.client.models import ModelMetadata, ModelState
from kapelle.client.operations import Method, Query
from kapelle.client.terms import Terms
from kapelle.errors import CallError
from kapelle.types.arrays import Array

if TYPE_CHECKING:
    from grpc import Channel


class Client:
    """A client of the gateway at ``address``: ``http://host:port``, or ``grpc://host:port`` for inferences alone.

    Threads may share one. It keeps its connections; close it, or use it in a ``with``.

    Args:
        grpc: where gRPC is served, when it is not at the port after that of HTTP.
        timeout: how long a call may take with all its attempts, as ``"30s"``; None is for ever.
        retries: how often a call is repeated that was refused for lack of room, or lost on its way.
        headers: sent with every call.
        trust: a PEM file of certificates, for a gateway whose own is signed by none that the system knows.
        connections: how many there may be at once.
        transport: in place of httpx's own, for proxies and the like.
    """

    def __init__(
        self,
        address: str,
        *,
        grpc: str | None = None,
        timeout: str | float | None = "30s",
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        trust: str | Path | None = None,
        connections: int = 100,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._terms = Terms(address, grpc=grpc, timeout=timeout, retries=retries, headers=headers, trust=trust)
        self._http = httpx.Client(
            verify=self._terms.certificates(),
            limits=over_http.limits(connections),
            transport=transport,
            trust_env=False,
        )
        self._channel: Channel | None = None
        self._opening = threading.Lock()

    @overload
    def get(self, path: str, *, returns: type[T], query: Query | None = None, **options: Unpack[CallOptions]) -> T: ...
    @overload
    def get(
        self, path: str, *, returns: Any = Any, query: Query | None = None, **options: Unpack[CallOptions]
    ) -> Any: ...
    def get(self, path: str, *, returns: Any = Any, query: Query | None = None, **options: Unpack[CallOptions]) -> Any:
        """What the endpoint at ``path`` answers: as ``returns``, or as plain data, text or bytes.

        Raises:
            CallError: an error of the gateway, as the class that it has there; ``Unavailable`` when there is no connection.
        """
        return self._run(operations.request("GET", path, None, returns, query, None, Options(**options)))

    @overload
    def post(
        self, path: str, body: Any = None, *, returns: type[T], query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> T: ...  # fmt: skip
    @overload
    def post(
        self, path: str, body: Any = None, *, returns: Any = Any, query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any: ...  # fmt: skip
    def post(
        self, path: str, body: Any = None, *, returns: Any = Any, query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:  # fmt: skip
        """As ``get``, with a body: bytes as they are, all else as JSON; with ``files``, a form that has both."""
        return self._run(operations.request("POST", path, body, returns, query, files, Options(**options)))

    @overload
    def call(
        self, name: str, body: Any = None, /, *, returns: type[T], shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> T: ...  # fmt: skip
    @overload
    def call(
        self, name: str, body: Any = None, /, *, returns: Any = Any, shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> Any: ...  # fmt: skip
    def call(
        self, name: str, body: Any = None, /, *, returns: Any = Any, shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> Any:  # fmt: skip
        """A method of a service, ``"Encoder.embed"``: its arguments by their names, or all of them as one ``body``.

        What other calls take as keywords, ``timeout`` and its like, goes into ``options``: the names are the method's.
        """
        return self._run(operations.call(name, body, arguments, returns, shard, Options(**options or {})))

    @overload
    def stream(
        self, path: str, body: Any = None, *, item: type[T], query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> Generator[T, None, None]: ...  # fmt: skip
    @overload
    def stream(
        self, path: str, body: Any = None, *, item: Any = Any, query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> Generator[Any, None, None]: ...  # fmt: skip
    def stream(
        self, path: str, body: Any = None, *, item: Any = Any, query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> Generator[Any, None, None]:  # fmt: skip
        """The items of a stream as they come; ``path`` is that of an endpoint, or a method's name, ``"Writer.write"``.

        It is asked for with the first item, and repeated only before that. Closing the generator ends the work at the other
        side. The time-out counts for the whole stream.

        Raises:
            CallError: as ``post``; ``ReplicaLost`` when the stream breaks off.
        """
        return self._items(operations.stream(method, path, body, item, query, Options(**options)))

    def infer(
        self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None, *, protocol: Way | None = None,
        shard: int | None = None, **options: Unpack[CallOptions],
    ) -> dict[str, Array]:  # fmt: skip
        """One inference by the Open Inference Protocol: arrays in, arrays out, all of them as bytes.

        Outputs lie over the answer, read-only; texts and bytes come as arrays of ``bytes`` objects.
        """
        ways = inference.speech(self._terms, protocol)
        return self._run(ways.infer(model, inputs, outputs, inference.parameters(shard), Options(**options)))

    @overload
    def predict(
        self, model: str, instances: Sequence[Any], *, returns: type[T], **options: Unpack[CallOptions]
    ) -> T: ...
    @overload
    def predict(
        self, model: str, instances: Sequence[Any], *, returns: Any = Any, **options: Unpack[CallOptions]
    ) -> Any: ...
    def predict(
        self, model: str, instances: Sequence[Any], *, returns: Any = Any, **options: Unpack[CallOptions]
    ) -> Any:
        """A prediction for each instance, by KServe's protocol, version 1."""
        return self._run(operations.predict(model, instances, returns, Options(**options)))

    def embed(self, model: str, texts: Sequence[str], **options: Unpack[CallOptions]) -> NDArray[np.float32]:
        """A row of numbers for each text, n x d, by OpenAI's protocol."""
        return self._run(operations.embed(model, texts, Options(**options)))

    def models(self, *, protocol: Way | None = None, **options: Unpack[CallOptions]) -> list[ModelState]:
        """The models that there are, and whether they can be called."""
        return self._run(inference.speech(self._terms, protocol).models(Options(**options)))

    def metadata(self, model: str, *, protocol: Way | None = None, **options: Unpack[CallOptions]) -> ModelMetadata:
        """What a model takes and gives."""
        return self._run(inference.speech(self._terms, protocol).metadata(model, Options(**options)))

    def ready(self, **options: Unpack[CallOptions]) -> bool:
        """Whether everything that the gateway serves can be called; False also when it does not answer."""
        return self._said(inference.speech(self._terms).ready(Options(**options)))

    def live(self, **options: Unpack[CallOptions]) -> bool:
        """Whether the gateway answers."""
        return self._said(inference.speech(self._terms).live(Options(**options)))

    def close(self) -> None:
        """Close all connections; calls from then on raise ``CallError``."""
        with self._opening:
            self._terms.closed = True
        self._http.close()
        if self._channel is not None:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _said(self, ask: Ask[bool]) -> bool:
        try:
            return self._run(ask)
        except CallError:
            return False

    def _run(self, ask: Ask[T]) -> T:
        course = self._terms.course(ask)
        attempt = self._attempt_rpc if ask.rpc else self._attempt
        while True:
            outcome = attempt(course)
            if isinstance(outcome, Answer) and outcome.ok:
                return course.read(ask, outcome)
            time.sleep(course.wait(outcome))

    def _attempt(self, course: Course) -> Answer | Failure:
        opened = self._opened(course)
        return self._read(opened, course) if isinstance(opened, httpx.Response) else opened

    def _opened(self, course: Course) -> httpx.Response | Failure:
        """An answer of which the body is still to come."""
        try:
            return self._http.send(over_http.request(self._http, self._terms, course), stream=True)
        except httpx.RequestError as error:
            return over_http.failure(error, course, self._terms)

    def _read(self, response: httpx.Response, course: Course) -> Answer | Failure:
        try:
            with closing(response):
                return over_http.answer(response, b"".join(_parts(response, course)))
        except httpx.RequestError as error:
            return over_http.failure(error, course, self._terms)

    def _attempt_rpc(self, course: Course) -> Answer | Failure:
        from kapelle.client import over_grpc  # noqa: PLC0415 - it needs what may not be installed

        with self._opening:
            self._terms.check_open()
            if self._channel is None:
                self._channel = over_grpc.channel(self._terms)
        return over_grpc.attempt(self._channel, course, self._terms)

    def _items(self, ask: Ask[Items]) -> Generator[Any, None, None]:
        course = self._terms.course(ask)
        with closing(self._begun(course)) as response:
            items = course.read(ask, over_http.answer(response, b""))
            try:
                for part in _parts(response, course):
                    yield from items.feed(part)
                items.end()
            except httpx.RequestError as error:
                raise course.explained(over_http.failure(error, course, self._terms).error) from None
            except CallError as error:
                raise course.explained(error) from None

    def _begun(self, course: Course) -> httpx.Response:
        """The first answer that is no error."""
        while True:
            opened = self._opened(course)
            if isinstance(opened, httpx.Response):
                if opened.is_success:
                    return opened
                time.sleep(course.wait(self._read(opened, course)))
            else:
                time.sleep(course.wait(opened))


def _parts(response: httpx.Response, course: Course) -> Iterator[bytes]:
    for part in response.iter_bytes():
        if course.left <= 0:  # httpx's own time-outs are for each part
            raise httpx.ReadTimeout("the deadline passed")
        yield part
