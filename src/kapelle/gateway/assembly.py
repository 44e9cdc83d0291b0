"""A gateway put together: app and inline services built, handles attached, endpoints and system routes served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kapelle.artifacts.instances import Instance, build
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.gateway import asgi
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.gateway.handles import attach, inline_handle
from kapelle.gateway.lifespan import Living
from kapelle.gateway.system import system_application
from kapelle.observe.metrics import Family, Registry


class Assembly:
    """The app of one gateway and everything it is made of."""

    def __init__(
        self,
        spec: AppSpec,
        fleet: Fleet,
        settings: Settings,
        registry: Registry,
        collect: Callable[[], Awaitable[list[Family]]],
    ) -> None:
        self.spec = spec
        self.fleet = fleet
        self.settings = settings
        self.registry = registry
        self.app: Any = None
        self._collect = collect
        self._instances: list[Instance] = []
        self._mounted = {path: Living(application) for path, application in spec.mounts.items()}
        self._gateway: Gateway | None = None

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None, "start() comes first"
        return self._gateway

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._gateway.in_flight if self._gateway is not None else 0

    async def start(self, artifact_of: Callable[[str], Path]) -> None:
        """Build the inline services and the app, and run their start-up hooks; ``artifact_of`` finds artifacts."""
        spec = self.spec
        inline: dict[str, Any] = {}
        for name, service in spec.services.items():
            if service.inline:
                path = artifact_of(service.artifact) if service.artifact else None
                (instance,) = (await build(service, {0: path}, _in_default_thread)).values()
                self._instances.append(instance)
                inline[name] = inline_handle(service, instance.value)
        cls: Any = spec.cls
        self.app = app = cls.__new__(cls)
        attach(app, spec, self.fleet.pools, inline)
        path = artifact_of(spec.artifact) if spec.artifact else None
        await _in_default_thread(partial(app.__init__, **dict.fromkeys(spec.injected, path)))
        hooked = Instance(app, spec.hooks, _in_default_thread)
        endpoints = [Endpoint(one, app, self.settings.request_timeout, self.registry) for one in spec.endpoints]
        system = system_application(
            replace(spec, mounts=self._mounted),
            self.fleet,
            collect=self._collect,
            draining=lambda: self.gateway.draining,
            allowed=self._allowed,
        )
        self._gateway = Gateway(self.settings, endpoints, partial(asgi.run, system), self.registry)
        self._gateway.every_second(self.fleet.check)
        await hooked.startup()
        self._instances.append(hooked)
        for application in self._mounted.values():
            await application.startup()

    async def drain(self) -> None:
        """Answer what runs, for as long as the settings allow."""
        if self._gateway is not None:
            await self._gateway.drain(self.settings.drain_timeout)

    async def close(self) -> None:
        """Run the shut-down hooks of what was started, and end all links."""
        for application in self._mounted.values():
            await application.shutdown()
        for instance in reversed(self._instances):
            await instance.shutdown()
        if self._gateway is not None:
            self._gateway.close()
        await self.fleet.close()

    def _allowed(self, path: str) -> list[str]:
        return self.gateway.allowed(path)


async def _in_default_thread(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)
