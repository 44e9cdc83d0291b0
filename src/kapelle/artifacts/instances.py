"""Making the instances of a service: constructors get what they name, hooks run around their life."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from kapelle.artifacts.beside import beside
from kapelle.artifacts.source import Source
from kapelle.declare.lifecycle import HookSpec
from kapelle.declare.services import ServiceSpec
from kapelle.tasks import is_stopped

log = structlog.get_logger()

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on the thread that user code runs on, and gives its result."""


class Instance:
    """One instance of a service or app, and its hooks. ``context`` is what constructor and hooks see and set."""

    def __init__(
        self, value: Any, hooks: tuple[HookSpec, ...], in_thread: InThread, context: Context | None = None
    ) -> None:
        self.value = value
        self.context = copy_context() if context is None else context
        self._hooks = hooks
        self._in_thread = in_thread
        self._background: list[asyncio.Task[None]] = []

    async def startup(self) -> None:
        """Run the start-up hooks; those in the background are begun only."""
        for hook in self._hooks:
            if hook.when == "startup" and not hook.background:
                await self._call(hook)
        for hook in self._hooks:
            if hook.when == "startup" and hook.background:
                self._background.append(asyncio.create_task(self._run_background(hook)))

    async def shutdown(self) -> None:
        """Cancel what runs in the background, then run the shut-down hooks; one that fails does not stop the others."""
        self.abort()
        await asyncio.gather(*self._background, return_exceptions=True)
        for hook in self._hooks:
            if hook.when == "shutdown":
                try:
                    await self._call(hook)
                # User code may raise anything; the log has it, and the other hooks have their turn.
                except (Exception, SystemExit, asyncio.CancelledError) as error:
                    if isinstance(error, asyncio.CancelledError) and is_stopped():
                        raise
                    log.exception("shut-down hook failed", hook=hook.name)

    def abort(self) -> None:
        """Cancel what runs in the background, and run no hooks."""
        for task in self._background:
            task.cancel()

    async def _call(self, hook: HookSpec) -> None:
        function = getattr(self.value, hook.name)
        if inspect.iscoroutinefunction(function):
            await function()
        else:
            await self._in_thread(partial(self.context.run, function))

    async def _run_background(self, hook: HookSpec) -> None:
        function = getattr(self.value, hook.name)
        try:
            if inspect.iscoroutinefunction(function):
                await function()
            else:
                await beside(partial(self.context.copy().run, function))
        except Exception:  # user code may raise anything; the log has it, and traffic goes on
            log.exception("background hook failed", hook=hook.name)


async def build(spec: ServiceSpec, shards: Iterable[int], source: Source, in_thread: InThread) -> dict[int, Instance]:
    """One instance per shard (0 for a service without any), each with its start-up hooks run.

    When one of them fails, those that were built before it are shut down again.
    """
    instances: dict[int, Instance] = {}
    try:
        for shard in shards:
            context = copy_context()
            value = await in_thread(partial(context.run, _construct, spec, shard, source))
            instance = Instance(value, spec.hooks, in_thread, context)
            await instance.startup()
            instances[shard] = instance
    except BaseException:  # whatever user code raised, or that it is not wanted any more, goes on to the caller
        for built in instances.values():
            await built.shutdown()
        raise
    return instances


def _construct(spec: ServiceSpec, shard: int, source: Source) -> Any:
    path: Path | None = None
    if spec.artifact is not None:
        path = source.shard(spec.artifact, shard) if spec.sharded else source.path(spec.artifact)
    return spec.cls(**dict.fromkeys(spec.injected, path))
