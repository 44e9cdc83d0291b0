"""``GET /services``: which services an app has, how each is, and where its methods are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kapelle.declare.apps import AppSpec
from kapelle.declare.services import ServiceSpec
from kapelle.gateway.exposure import Exposed
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.methods import PREFIX, paths
from kapelle.gateway.problems import HttpError

_FRESH = {"cache-control": "no-store"}


class ServiceRoutes:
    """The list of services, and for each its state, ``livez`` and ``readyz``."""

    def __init__(self, spec: AppSpec, exposed: list[Exposed], fleet: Fleet, draining: Callable[[], bool]) -> None:
        self._services = list(spec.services.values())
        self._exposed = exposed
        self._fleet = fleet
        self._draining = draining

    def routes(self) -> list[Route]:
        """All of them, for a Starlette application."""
        return [
            Route(PREFIX, self._every),
            Route(f"{PREFIX}/{{service}}", self._one),
            Route(f"{PREFIX}/{{service}}/health", self._one),
            Route(f"{PREFIX}/{{service}}/livez", self._livez),
            Route(f"{PREFIX}/{{service}}/readyz", self._readyz),
        ]

    async def _every(self, _: Request) -> Response:
        return JSONResponse({"services": [self._about(one) for one in self._services]}, headers=_FRESH)

    async def _one(self, request: Request) -> Response:
        found = self._about(self._find(request))
        return JSONResponse(found, 200 if found["ready"] else 503, headers=_FRESH)

    async def _livez(self, request: Request) -> Response:
        self._find(request)
        return PlainTextResponse("ok\n", headers=_FRESH)

    async def _readyz(self, request: Request) -> Response:
        service = self._find(request)
        if self._ready(service):
            return PlainTextResponse("ok\n", headers=_FRESH)
        reason = "draining" if self._draining() else f"waiting for {service.name}"
        return PlainTextResponse(f"{reason}\n", 503, {**_FRESH, "retry-after": "1"})

    def _find(self, request: Request) -> ServiceSpec:
        name = request.path_params["service"]
        for service in self._services:
            if name in (service.name, service.name.lower()):
                return service
        known = ", ".join(one.name.lower() for one in self._services)
        raise HttpError(404, f"there is no service {name!r}; there is {known or 'none'}", code="not-found")

    def _ready(self, service: ServiceSpec) -> bool:
        pool = self._fleet.pools.get(service.name)
        return not self._draining() and (pool is None or pool.ready(self._fleet.release))

    def _about(self, service: ServiceSpec) -> dict[str, Any]:
        methods = {one.method.name: paths(one)[0] for one in self._exposed if one.service is service}
        found = {
            "name": service.name,
            "ready": self._ready(service),
            "release": self._fleet.release,
            "methods": methods,
            "inline": service.inline,
        }
        pool = self._fleet.pools.get(service.name)
        if pool is None:
            return found
        replicas = [
            {"name": one.name, "reached": pool.reaches(one.name), "shards": one.shards}
            for one in self._fleet.members
            if one.role == "replica" and one.service == service.name
        ]
        return {**found, "outstanding": pool.outstanding, "replicas": replicas}
