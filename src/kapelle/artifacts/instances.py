"""Making the instances of a service: constructors get what they name, hooks run around their life."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from kapelle.artifacts.source import Source
from kapelle.declare.lifecycle import HookSpec
from kapelle.declare.services import ServiceSpec

log = structlog.get_logger()

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on the thread that user code runs on, and gives its result."""


class Instance:
    """One instance of a service or app, and its hooks."""

    def __init__(self, value: Any, hooks: tuple[HookSpec, ...], in_thread: InThread) -> None:
        self.value = value
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
                except Exception:  # user code may raise anything; the log has it, and the other hooks have their turn
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
            await self._in_thread(function)

    async def _run_background(self, hook: HookSpec) -> None:
        function = getattr(self.value, hook.name)
        try:
            if inspect.iscoroutinefunction(function):
                await function()
            else:
                await _in_own_thread(function, hook.name)
        except Exception:  # user code may raise anything; the log has it, and traffic goes on
            log.exception("background hook failed", hook=hook.name)


async def build(spec: ServiceSpec, shards: Iterable[int], source: Source, in_thread: InThread) -> dict[int, Instance]:
    """One instance per shard (0 for a service without any), each with its start-up hooks run.

    When one of them fails, those that were built before it are shut down again.
    """
    instances: dict[int, Instance] = {}
    try:
        for shard in shards:
            value = await in_thread(partial(_construct, spec, shard, source))
            instance = Instance(value, spec.hooks, in_thread)
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


async def _in_own_thread(function: Callable[[], Any], name: str) -> None:
    """Run ``function`` beside everything else, for as long as it likes: neither calls nor the process wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            function()
        except StopIteration as stop:
            error = RuntimeError(f"user code raised {stop!r}")
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it belongs to the waiter
            error = raised
        try:
            loop.call_soon_threadsafe(end, error)
        except RuntimeError:
            # The event loop has ended before this did.
            return

    threading.Thread(target=work, name=f"kapelle-{name}", daemon=True).start()
    await done
