"""``AsyncClient``: a gateway's client for asyncio; its calls are those of ``Client``, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
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
    from grpc.aio import Channel


class AsyncClient:
    """A client of the gateway at ``address``: ``http://host:port``, or ``grpc://host:port`` for inferences alone.

    Tasks of one loop may share one. It keeps its connections; close it, or use it in an ``async with``. What its calls
    take and give is described at ``Client``, and so are the arguments here.
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._terms = Terms(
            address, grpc=grpc, timeout=timeout, retries=retries, headers=headers, trust=trust,
            loop=asyncio.get_running_loop,
        )  # fmt: skip
        self._http = httpx.AsyncClient(
            verify=self._terms.certificates(),
            limits=over_http.limits(connections),
            transport=transport,
            trust_env=False,
        )
        self._channel: Channel | None = None

    @overload
    async def get(
        self, path: str, *, returns: type[T], query: Query | None = None, **options: Unpack[CallOptions]
    ) -> T: ...
    @overload
    async def get(
        self, path: str, *, returns: Any = Any, query: Query | None = None, **options: Unpack[CallOptions]
    ) -> Any: ...
    async def get(
        self, path: str, *, returns: Any = Any, query: Query | None = None, **options: Unpack[CallOptions]
    ) -> Any:
        """What the endpoint at ``path`` answers: as ``returns``, or as plain data, text or bytes.

        Raises:
            CallError: an error of the gateway, as the class that it has there; ``Unavailable`` when there is no connection.
        """
        return await self._run(operations.request("GET", path, None, returns, query, None, Options(**options)))

    @overload
    async def post(
        self, path: str, body: Any = None, *, returns: type[T], query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> T: ...  # fmt: skip
    @overload
    async def post(
        self, path: str, body: Any = None, *, returns: Any = Any, query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any: ...  # fmt: skip
    async def post(
        self, path: str, body: Any = None, *, returns: Any = Any, query: Query | None = None, files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:  # fmt: skip
        """As ``get``, with a body: bytes as they are, all else as JSON; with ``files``, a form that has both."""
        build = partial(operations.request, "POST", path, body, returns, query, files, Options(**options))
        # Files are read from disks, which may be slow.
        return await self._run(await asyncio.to_thread(build) if files else build())

    @overload
    async def call(
        self, name: str, body: Any = None, /, *, returns: type[T], shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> T: ...  # fmt: skip
    @overload
    async def call(
        self, name: str, body: Any = None, /, *, returns: Any = Any, shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> Any: ...  # fmt: skip
    async def call(
        self, name: str, body: Any = None, /, *, returns: Any = Any, shard: int | None = None,
        options: CallOptions | None = None, **arguments: Any,
    ) -> Any:  # fmt: skip
        """A method of a service, ``"Encoder.embed"``: its arguments by their names, or all of them as one ``body``.

        What other calls take as keywords, ``timeout`` and its like, goes into ``options``: the names are the method's.
        """
        return await self._run(operations.call(name, body, arguments, returns, shard, Options(**options or {})))

    @overload
    def stream(
        self, path: str, body: Any = None, *, item: type[T], query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[T, None]: ...  # fmt: skip
    @overload
    def stream(
        self, path: str, body: Any = None, *, item: Any = Any, query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[Any, None]: ...  # fmt: skip
    def stream(
        self, path: str, body: Any = None, *, item: Any = Any, query: Query | None = None, method: Method = "POST",
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[Any, None]:  # fmt: skip
        """The items of a stream as they come; ``path`` is that of an endpoint, or a method's name, ``"Writer.write"``.

        It is asked for with the first item, and repeated only before that. Closing the generator ends the work at the other
        side. The time-out counts for the whole stream.

        Raises:
            CallError: as ``post``; ``ReplicaLost`` when the stream breaks off.
        """
        return self._items(operations.stream(method, path, body, item, query, Options(**options)))

    async def infer(
        self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None, *, protocol: Way | None = None,
        shard: int | None = None, **options: Unpack[CallOptions],
    ) -> dict[str, Array]:  # fmt: skip
        """One inference by the Open Inference Protocol: arrays in, arrays out, all of them as bytes.

        Outputs lie over the answer, read-only; texts and bytes come as arrays of ``bytes`` objects.
        """
        ways = inference.speech(self._terms, protocol)
        return await self._run(ways.infer(model, inputs, outputs, inference.parameters(shard), Options(**options)))

    @overload
    async def predict(
        self, model: str, instances: Sequence[Any], *, returns: type[T], **options: Unpack[CallOptions]
    ) -> T: ...
    @overload
    async def predict(
        self, model: str, instances: Sequence[Any], *, returns: Any = Any, **options: Unpack[CallOptions]
    ) -> Any: ...
    async def predict(
        self, model: str, instances: Sequence[Any], *, returns: Any = Any, **options: Unpack[CallOptions]
    ) -> Any:
        """A prediction for each instance, by KServe's protocol, version 1."""
        return await self._run(operations.predict(model, instances, returns, Options(**options)))

    async def embed(self, model: str, texts: Sequence[str], **options: Unpack[CallOptions]) -> NDArray[np.float32]:
        """A row of numbers for each text, n x d, by OpenAI's protocol."""
        return await self._run(operations.embed(model, texts, Options(**options)))

    async def models(self, *, protocol: Way | None = None, **options: Unpack[CallOptions]) -> list[ModelState]:
        """The models that there are, and whether they can be called."""
        return await self._run(inference.speech(self._terms, protocol).models(Options(**options)))

    async def metadata(
        self, model: str, *, protocol: Way | None = None, **options: Unpack[CallOptions]
    ) -> ModelMetadata:
        """What a model takes and gives."""
        return await self._run(inference.speech(self._terms, protocol).metadata(model, Options(**options)))

    async def ready(self, **options: Unpack[CallOptions]) -> bool:
        """Whether everything that the gateway serves can be called; False also when it does not answer."""
        return await self._said(inference.speech(self._terms).ready(Options(**options)))

    async def live(self, **options: Unpack[CallOptions]) -> bool:
        """Whether the gateway answers."""
        return await self._said(inference.speech(self._terms).live(Options(**options)))

    async def close(self) -> None:
        """Close all connections; calls from then on raise ``CallError``."""
        self._terms.closed = True
        await self._http.aclose()
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _said(self, ask: Ask[bool]) -> bool:
        try:
            return await self._run(ask)
        except CallError:
            return False

    async def _run(self, ask: Ask[T]) -> T:
        course = self._terms.course(ask)
        attempt = self._attempt_rpc if ask.rpc else self._attempt
        while True:
            outcome = await attempt(course)
            if isinstance(outcome, Answer) and outcome.ok:
                return course.read(ask, outcome)
            await asyncio.sleep(course.wait(outcome))

    async def _attempt(self, course: Course) -> Answer | Failure:
        opened = await self._opened(course)
        return await self._read(opened, course) if isinstance(opened, httpx.Response) else opened

    async def _opened(self, course: Course) -> httpx.Response | Failure:
        """An answer of which the body is still to come."""
        request = over_http.request(self._http, self._terms, course)
        try:
            async with asyncio.timeout(course.patience):
                return await self._http.send(request, stream=True)
        except httpx.RequestError as error:
            return over_http.failure(error, course, self._terms)
        except TimeoutError:
            return Failure(course.late(), reached=True)

    async def _read(self, response: httpx.Response, course: Course) -> Answer | Failure:
        try:
            async with aclosing(response), asyncio.timeout(course.patience):
                return over_http.answer(response, await response.aread())
        except httpx.RequestError as error:
            return over_http.failure(error, course, self._terms)
        except TimeoutError:
            return Failure(course.late(), reached=True)

    async def _attempt_rpc(self, course: Course) -> Answer | Failure:
        from kapelle.client import over_grpc  # noqa: PLC0415 - it needs what may not be installed

        self._terms.check_open()
        if self._channel is None:
            self._channel = over_grpc.async_channel(self._terms)
        return await over_grpc.async_attempt(self._channel, course, self._terms)

    async def _items(self, ask: Ask[Items]) -> AsyncGenerator[Any, None]:
        course = self._terms.course(ask)
        async with aclosing(await self._begun(course)) as response:
            items = course.read(ask, over_http.answer(response, b""))
            parts = response.aiter_bytes()
            try:
                while part := await _next(parts, course):
                    for item in items.feed(part):
                        yield item
                items.end()
            except httpx.RequestError as error:
                raise course.explained(over_http.failure(error, course, self._terms).error) from None
            except CallError as error:
                raise course.explained(error) from None

    async def _begun(self, course: Course) -> httpx.Response:
        """The first answer that is no error."""
        while True:
            opened = await self._opened(course)
            if isinstance(opened, httpx.Response):
                if opened.is_success:
                    return opened
                await asyncio.sleep(course.wait(await self._read(opened, course)))
            else:
                await asyncio.sleep(course.wait(opened))


async def _next(parts: AsyncIterator[bytes], course: Course) -> bytes:
    """The next part; empty at the end."""
    try:
        async with asyncio.timeout(course.patience):
            return await anext(parts, b"")
    except TimeoutError:
        raise course.late() from None
