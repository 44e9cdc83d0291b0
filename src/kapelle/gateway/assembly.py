"""A gateway put together: the app in the editions of one or more releases, its endpoints and the system's routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from kapelle.artifacts.source import Source
from kapelle.config.settings import Settings
from kapelle.core.rollout_messages import Side
from kapelle.declare.apps import AppSpec
from kapelle.gateway import asgi
from kapelle.gateway.aside import Aside
from kapelle.gateway.bodies import Reserve
from kapelle.gateway.edition import Edition
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.gateway.lifespan import Living
from kapelle.gateway.offers import Offers
from kapelle.gateway.protocols.regions import Regions
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
        regions: Regions,
        *,
        grpc: bool = False,
        reserve: Reserve | None = None,
    ) -> None:
        self.spec = spec
        self.fleet = fleet
        self.settings = settings
        self.registry = registry
        self.editions: dict[str, Edition] = {}
        self._collect = collect
        self.offers = Offers(spec, fleet, settings, registry, regions, grpc=grpc) if settings.expose_services else None
        self._mounted = {path: Living(application) for path, application in spec.mounts.items()}
        self._reserve = reserve
        self._gateway: Gateway | None = None

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None, "start() comes first"
        return self._gateway

    @property
    def app(self) -> Any:
        """The app's instance that new requests see."""
        return self.gateway.edition.app

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._gateway.in_flight if self._gateway is not None else 0

    async def start(self, release: str, source: Source) -> None:
        """Build the app of ``release``, which new requests see from now on, and run its start-up hooks."""
        edition = self.editions[release] = Edition(self.spec, release)
        await edition.build(self.fleet, source)
        endpoints = [Endpoint(one, self.settings.request_timeout, self.registry) for one in self.spec.endpoints]
        offers = self.offers
        system = system_application(
            replace(self.spec, mounts=self._mounted),
            self.fleet,
            collect=self._collect,
            draining=self._draining,
            allowed=self._allowed,
            offered=offers.routes(self._draining) if offers is not None else [],
            described=offers.described if offers is not None else (),
        )
        if offers is not None:
            endpoints += offers.endpoints
        self._gateway = Gateway(self.settings, edition, endpoints, partial(asgi.run, system), self.registry)
        self._gateway.reserve = self._reserve
        self._gateway.every_second(self.fleet.check)
        self.fleet.route(release)
        await edition.startup()
        for application in self._mounted.values():
            await application.startup()

    async def prepare(self, release: str, source: Source) -> None:
        """Build the app of another release beside, and run its start-up hooks once all replicas of it can be called.

        No request sees it yet. What has been built when something fails is shut down again.
        """
        edition = Edition(self.spec, release)
        try:
            await edition.build(self.fleet, source)
            await self.fleet.serving(release)
            await edition.startup()
        except BaseException:  # a cancellation too: what was begun is not left behind
            await edition.close()
            self.fleet.forget(release)
            raise
        self.editions[release] = edition

    def route(self, release: str, side: Side | None = None) -> None:
        """New requests see this release from now on, some that at its ``side``; those under way end on theirs."""
        self.gateway.edition = self.editions[release]
        self.gateway.aside = None
        if side is not None:
            key = self.settings.canary_key.lower().encode()
            self.gateway.aside = Aside(self.editions[side.release], side, key, self.registry)
        self.fleet.route(release)

    def retire(self, release: str) -> Awaitable[None]:
        """Give up a release that new requests do not see; what is returned does it once the last one that does has ended."""
        return self._leave(release, self.editions.pop(release))

    async def _leave(self, release: str, edition: Edition) -> None:
        await edition.deserted()
        await edition.close()
        self.fleet.forget(release)

    async def drain(self) -> None:
        """Answer what runs, for as long as the settings allow."""
        if self._gateway is not None:
            await self._gateway.drain(self.settings.drain_timeout)

    async def close(self) -> None:
        """Run the shut-down hooks of what was started, and end all links."""
        for application in self._mounted.values():
            await application.shutdown()
        for edition in self.editions.values():
            await edition.close()
        if self._gateway is not None:
            self._gateway.close()
        await self.fleet.close()

    def _draining(self) -> bool:
        return self.gateway.draining

    def _allowed(self, path: str) -> list[str]:
        return self.gateway.allowed(path)
