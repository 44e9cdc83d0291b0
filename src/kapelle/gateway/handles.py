"""Handles: what the app's annotations are filled with. To a type checker they are the services themselves."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import numpy as np

from kapelle.declare.apps import AppSpec, Sharded
from kapelle.declare.methods import BatchedCall, MethodSpec
from kapelle.declare.services import ServiceSpec
from kapelle.gateway.pool import Pool
from kapelle.types.arrays import as_array, is_array_type
from kapelle.wire.payload import Packer, Unpacker


class Handle:
    """A service as the app sees it: one attribute per method."""

    def __init__(self, name: str, methods: dict[str, Any]) -> None:
        self.__dict__.update(methods)
        self._name = name

    def __repr__(self) -> str:
        return f"<handle of {self._name}>"


def attach(app: Any, spec: AppSpec, release: str, pools: dict[str, Pool], inline: dict[str, Any]) -> None:
    """Fill the annotated attributes of an app instance; its handles call the services of this release."""
    for handle in spec.handles:
        service = handle.service
        if service.inline:
            value: Any = inline[service.name]
        elif service.sharded:
            pool = pools[service.name]
            value = Sharded([remote_handle(service, pool, release, shard) for shard in range(pool.shards(release))])
        else:
            value = remote_handle(service, pools[service.name], release, 0)
        setattr(app, handle.attribute, value)


def inline_handle(service: ServiceSpec, instance: Any) -> Handle:
    """A handle that calls an instance in this very process."""
    methods: dict[str, Any] = {}
    for name, method in service.methods.items():
        # Async and streaming methods, and batched ones, are what the descriptor binds; a plain one is called directly.
        direct = method.kind == "unary" and not method.is_async
        methods[name] = _direct(method.function, instance) if direct else getattr(instance, name)
    return Handle(service.name, methods)


def remote_handle(service: ServiceSpec, pool: Pool, release: str, shard: int) -> Handle:
    """A handle that calls the replicas of one shard of a release."""
    makers = {"unary": _RemoteMethod, "batched": _RemoteBatched, "stream": _RemoteStream}
    methods = {name: makers[method.kind](method, pool, release, shard) for name, method in service.methods.items()}
    return Handle(service.name, methods)


def _direct(function: Callable[..., Any], instance: Any) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    return call


class _Arguments:
    """Turns what a method is called with into its arguments in the order of its parameters."""

    def __init__(self, method: MethodSpec, service: str) -> None:
        self._name = f"{service}.{method.name}"
        self._signature = inspect.signature(method.function)
        _, *parameters = self._signature.parameters.values()
        self._names = tuple(one.name for one in parameters)
        self._defaults = {one.name: one.default for one in parameters if one.default is not one.empty}

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments in order, with defaults filled in.

        Raises:
            TypeError: the method does not take these.
        """
        if not kwargs and len(args) == len(self._names):
            return args
        rest = self._names[len(args) :]
        given = {**self._defaults, **kwargs}
        if len(args) > len(self._names) or not kwargs.keys() <= set(rest) <= given.keys():
            try:
                self._signature.bind(None, *args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{self._name}() {error}") from None
        return (*args, *[given[name] for name in rest])


class _RemoteMethod:
    def __init__(self, method: MethodSpec, pool: Pool, release: str, shard: int) -> None:
        self._arguments = _Arguments(method, pool.spec.name)
        self._pack = Packer(method.signature.arguments)
        self._pool = pool
        self._site = pool.site(method, release, shard, Unpacker(method.signature.returns))

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return self._pool.call(self._site, 1, self._pack(self._arguments(args, kwargs)))


class _RemoteBatched(BatchedCall[Any, Any, Any]):
    def __init__(self, method: MethodSpec, pool: Pool, release: str, shard: int) -> None:
        assert method.batch is not None
        unpack = Unpacker(method.signature.returns)
        self._max_size = method.batch.max_size
        # Each replica has one part to work on and one that waits, if there is room: more would only take places from others.
        self._parts_each = 2 if 2 * self._max_size <= pool.spec.max_queue else 1
        self._returns = method.signature.returns
        self._array = is_array_type(self._returns)
        self._pack = Packer(method.signature.parameters[0].annotation)
        self._pool = pool
        self._one = pool.site(method, release, shard, lambda data, body: unpack(data, body)[0])
        self._several = pool.site(method, release, shard, unpack)

    def __call__(self, row: Any) -> Coroutine[Any, Any, Any]:
        return self._pool.call(self._one, 1, self._pack((row,)))

    def many(self, rows: Any) -> Coroutine[Any, Any, Any]:
        if 0 < len(rows) <= self._max_size:
            return self._part(rows)
        return self._rows(rows)

    async def _rows(self, rows: Any) -> Any:
        if not len(rows):
            return as_array(self._returns, []) if self._array else []
        parts = [rows[start : start + self._max_size] for start in range(0, len(rows), self._max_size)]
        results: list[Any] = [None] * len(parts)
        todo = iter(enumerate(parts))

        async def work() -> None:
            for index, part in todo:
                results[index] = await self._part(part)

        most = self._parts_each * max(1, self._pool.usable)
        tasks = [asyncio.create_task(work()) for _ in range(min(len(parts), most))]
        try:
            await asyncio.gather(*tasks)
        finally:
            while tasks:  # one that failed has what it raised, which has this frame
                tasks.pop().cancel()
        return np.concatenate(results) if self._array else [row for result in results for row in result]

    def _part(self, rows: Any) -> Coroutine[Any, Any, Any]:
        payload = self._pack(rows if type(rows) is list else list(rows))
        return self._pool.call(self._several, len(rows), payload)


class _RemoteStream:
    def __init__(self, method: MethodSpec, pool: Pool, release: str, shard: int) -> None:
        self._arguments = _Arguments(method, pool.spec.name)
        self._pack = Packer(method.signature.arguments)
        self._pool = pool
        self._site = pool.site(method, release, shard, Unpacker(int))
        self._unpack_item = Unpacker(method.signature.item)

    def __call__(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        payload = self._pack(self._arguments(args, kwargs))
        return self._pool.stream(self._site, payload, self._unpack_item)
