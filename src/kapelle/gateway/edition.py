"""An edition: what a gateway holds of one release, and the requests that are pinned to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from kapelle.artifacts.beside import beside
from kapelle.artifacts.instances import Instance, build
from kapelle.artifacts.source import Source
from kapelle.core.vitals import Vitals
from kapelle.declare.apps import AppSpec
from kapelle.declare.services import ServiceSpec
from kapelle.gateway.exposure import ANY, exposed_methods
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.handles import attach, inline_handle


class Edition:
    """The app of one release: its instance, whose handles call that release's services, and its inline services."""

    def __init__(self, spec: AppSpec, release: str) -> None:
        self.release = release
        self.header = release.encode("ascii")
        """The release as answers name it."""
        self.running = 0
        """Requests that see this release."""
        self.vitals = Vitals()
        """How its requests went; those that were refused at the door are not among them."""
        self.add_quality = self.vitals.add_quality
        """Takes the scores of its answers: bound here once, not in every request."""
        self.app: Any = None
        self.functions: dict[str, Callable[..., Any]] = {}
        """What each endpoint calls: methods of the app, and those of services, which have a dot in their names."""
        self._spec = spec
        self._instances: list[Instance] = []
        self._left: asyncio.Event | None = None

    async def build(self, fleet: Fleet, source: Source) -> None:
        """Construct the inline services and the app."""
        spec = self._spec
        fleet.open(self.release, await beside(partial(shard_counts, spec, source)))
        inline = {one.name: await self._inline(one, source) for one in spec.services.values() if one.inline}
        cls: Any = spec.cls
        self.app = cls.__new__(cls)
        attach(self.app, spec, self.release, fleet.pools, inline)
        path = await beside(partial(source.path, spec.artifact)) if spec.artifact else None
        await beside(partial(self.app.__init__, **dict.fromkeys(spec.injected, path)))
        self.functions = {one.name: getattr(self.app, one.name) for one in spec.endpoints}
        self.functions |= {one.name: one.function(self.app) for one in exposed_methods(spec)}
        self.functions[ANY] = self.functions.__getitem__

    async def startup(self) -> None:
        """Run the app's start-up hooks; they may call services."""
        hooked = Instance(self.app, self._spec.hooks, beside)
        await hooked.startup()
        self._instances.append(hooked)

    def leave(self) -> None:
        """A request that was pinned to this release has ended."""
        self.running -= 1
        if not self.running and self._left is not None:
            self._left.set()
            self._left = None

    async def deserted(self) -> None:
        """Return when no request sees this release any more."""
        while self.running:
            self._left = self._left or asyncio.Event()
            await self._left.wait()

    async def close(self) -> None:
        """Run the shut-down hooks of what was started."""
        while self._instances:
            await self._instances.pop().shutdown()

    async def _inline(self, service: ServiceSpec, source: Source) -> Any:
        (instance,) = (await build(service, [0], source, beside)).values()
        self._instances.append(instance)
        return inline_handle(service, instance.value)


def shard_counts(spec: AppSpec, source: Source) -> dict[str, int]:
    """How many shards each sharded service has in a release."""
    return {
        one.name: source.shard_count(one.artifact)
        for one in spec.services.values()
        if one.sharded and one.artifact is not None
    }
