"""Making the instances of a service: constructors get what they name, hooks run around their life."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from kapelle.declare.lifecycle import HookSpec
from kapelle.declare.services import ServiceSpec

log = structlog.get_logger()

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


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
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for hook in self._hooks:
            if hook.when == "shutdown":
                try:
                    await self._call(hook)
                except Exception:  # noqa: BLE001 - user code; the process ends either way, and the log says why
                    log.exception("shut-down hook failed", hook=hook.name)

    async def _call(self, hook: HookSpec) -> None:
        function = getattr(self.value, hook.name)
        if inspect.iscoroutinefunction(function):
            await function()
        else:
            await self._in_thread(function)

    async def _run_background(self, hook: HookSpec) -> None:
        try:
            await self._call(hook)
        except Exception:  # noqa: BLE001 - user code; traffic goes on, and the log says why
            log.exception("background hook failed", hook=hook.name)


async def build(spec: ServiceSpec, paths: dict[int, Path | None], in_thread: InThread) -> dict[int, Instance]:
    """One instance per shard of ``paths``, each with its start-up hooks run."""
    instances: dict[int, Instance] = {}
    for shard, path in paths.items():
        arguments = dict.fromkeys(spec.injected, path)
        value = await in_thread(partial(spec.cls, **arguments))
        instances[shard] = Instance(value, spec.hooks, in_thread)
        await instances[shard].startup()
    return instances
