"""Handles: what the app's annotations are filled with. To a type checker they are the services themselves."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from kapelle.declare.apps import AppSpec, Sharded
from kapelle.declare.methods import BatchedCall, MethodSpec
from kapelle.declare.services import ServiceSpec
from kapelle.gateway.pool import Pool
from kapelle.types.arrays import is_array_type
from kapelle.wire import messages
from kapelle.wire.payload import Packer, Unpacker

class Handle:
    """A service as the app sees it: one attribute per method."""

    def __init__(self, name: str, methods: dict[str, Any]) -> None:
        self.__dict__.update(methods)
        self._name = name

    def __repr__(self) -> str:
        return f"<handle of {self._name}>"


def attach(app: Any, spec: AppSpec, pools: dict[str, Pool], inline: dict[str, Any]) -> None:
    """Fill the annotated attributes of an app instance."""
    for handle in spec.handles:
        service = handle.service
        if service.inline:
            value: Any = inline[service.name]
        elif service.sharded:
            pool = pools[service.name]
            value = Sharded([remote_handle(service, pool, shard) for shard in range(pool.shards)])
        else:
            value = remote_handle(service, pools[service.name], 0)
        setattr(app, handle.attribute, value)


def inline_handle(service: ServiceSpec, instance: Any) -> Handle:
    """A handle that calls an instance in this very process."""
    methods: dict[str, Any] = {}
    for name, method in service.methods.items():
        # Async and streaming methods, and batched ones, are what the descriptor binds; a plain method is called directly.
        direct = method.kind == "unary" and not method.is_async
        methods[name] = _direct(method.function, instance) if direct else getattr(instance, name)
    return Handle(service.name, methods)


def remote_handle(service: ServiceSpec, pool: Pool, shard: int) -> Handle:
    """A handle that calls the replicas of one shard."""
    makers = {"unary": _RemoteMethod, "batched": _RemoteBatched, "stream": _RemoteStream}
    return Handle(service.name, {name: makers[method.kind](method, pool, shard) for name, method in service.methods.items()})


def _direct(function: Callable[..., Any], instance: Any) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    return call


class _Remote:
    """What remote calls of all kinds share."""

    def __init__(self, method: MethodSpec, pool: Pool, shard: int) -> None:
        self._name = method.name
        self._policy = method.policy
        self._pool = pool
        self._shard = shard
        self._pack = Packer()
        self._names = method.signature.names
        self._signature = inspect.signature(method.function)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments in order; trailing defaults are left to the replica."""
        if not kwargs and len(args) == len(self._names):
            return args
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        return bound.args[1:]


class _RemoteMethod(_Remote):
    def __init__(self, method: MethodSpec, pool: Pool, shard: int) -> None:
        super().__init__(method, pool, shard)
        self._unpack = Unpacker(method.signature.returns)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        payload = self._pack(self._bind(args, kwargs))
        return await self._pool.call(self._name, self._shard, 1, self._policy, payload, self._unpack)


class _RemoteBatched(_Remote, BatchedCall[Any, Any, Any]):
    def __init__(self, method: MethodSpec, pool: Pool, shard: int) -> None:
        super().__init__(method, pool, shard)
        self._unpack = Unpacker(method.signature.returns)
        self._array = is_array_type(method.signature.returns)
        assert method.batch is not None
        self._max_size = method.batch.max_size

    async def __call__(self, row: Any) -> Any:
        rows = await self._pool.call(self._name, self._shard, 1, self._policy, self._pack((row,)), self._unpack)
        return rows[0]

    async def _rows(self, rows: list[Any]) -> Any:
        if not len(rows):
            return np.empty(0) if self._array else []
        parts = [rows[start : start + self._max_size] for start in range(0, len(rows), self._max_size)]
        if len(parts) == 1:
            return await self._part(parts[0])
        results = await asyncio.gather(*map(self._part, parts))
        return np.concatenate(results) if self._array else [row for result in results for row in result]

    async def _part(self, rows: Any) -> Any:
        payload = self._pack(list(rows))
        return await self._pool.call(self._name, self._shard, len(rows), self._policy, payload, self._unpack)


class _RemoteStream(_Remote):
    def __init__(self, method: MethodSpec, pool: Pool, shard: int) -> None:
        super().__init__(method, pool, shard)
        arguments = getattr(method.signature.returns, "__args__", (Any,))
        self._unpack = Unpacker(arguments[0] | None if arguments[0] is not Any else Any)

    async def __call__(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        items: asyncio.Queue[Any] = asyncio.Queue()
        payload = self._pack(self._bind(args, kwargs))
        link, number, end = self._pool.open_stream(self._name, self._shard, payload, self._unpack, items.put_nowait)
        end.add_done_callback(lambda _: items.put_nowait(_END))
        taken = 0
        try:
            while (item := await items.get()) is not _END:
                yield item
                taken += 1
                if taken == messages.STREAM_WINDOW // 2:
                    link.grant(number, taken)
                    taken = 0
            await self._pool.end_of_stream(end)
        finally:
            link.cancel(number)
            if end.done() and not end.cancelled():
                end.exception()


_END = object()
