"""What a gateway serves beside the app: health, metrics, the API's description and page, mounted applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from kapelle.declare.apps import AppSpec, EndpointSpec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.openapi import describe, description_below
from kapelle.gateway.page import CONTENT_SECURITY_POLICY, Asset, assets, page
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.observe.metrics import Family, render

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Also on the page's own files: a browser takes them for nothing else than what they are said to be.
_SAFE = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_FRESH = {"cache-control": "no-store"}


def system_application(
    spec: AppSpec,
    fleet: Fleet,
    *,
    collect: Callable[[], Awaitable[list[Family]]],
    draining: Callable[[], bool],
    allowed: Callable[[str], list[str]],
    offered: list[Route],
    described: Sequence[EndpointSpec],
) -> Starlette:
    """The ASGI application for every path that is not an endpoint.

    ``allowed`` has the methods of those, ``offered`` are routes for the services, and ``described`` their methods as
    endpoints, to be described beside the app's own.
    """
    description = describe(replace(spec, endpoints=(*spec.endpoints, *described)))
    html = page(spec.name)

    async def livez(_: StarletteRequest) -> Response:
        return PlainTextResponse("ok\n", headers=_FRESH)

    async def readyz(_: StarletteRequest) -> Response:
        if not draining() and fleet.ready:
            return PlainTextResponse("ok\n", headers=_FRESH)
        reason = "draining" if draining() else f"waiting for {', '.join(fleet.waiting_for)}"
        return PlainTextResponse(f"{reason}\n", 503, {**_FRESH, "retry-after": "1"})

    async def metrics(_: StarletteRequest) -> Response:
        return Response(render(await collect()), media_type=METRICS_TYPE, headers=_FRESH)

    async def openapi(request: StarletteRequest) -> Response:
        root = request.scope.get("root_path", "")
        found = description_below(description, root) if root else description
        return Response(found, media_type="application/json", headers=_SAFE)

    async def docs(_: StarletteRequest) -> Response:
        return HTMLResponse(html, headers=_SAFE)

    async def refuse(request: StarletteRequest, error: Exception) -> Response:
        return _problem_response(request, _refusal(request, error, allowed))

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
            Route("/docs", docs),
            *(Route(f"/docs/{name}", partial(_serve, asset)) for name, asset in assets().items()),
            *offered,
            *(Mount(path, application) for path, application in spec.mounts.items()),
        ],
        exception_handlers={HTTPException: refuse, Exception: refuse},
    )


async def _serve(asset: Asset, _: StarletteRequest) -> Response:
    return Response(asset.content, headers={**_SAFE, "content-type": asset.media_type})


def _refusal(request: StarletteRequest, error: Exception, allowed: Callable[[str], list[str]]) -> Exception:
    """The error that says what is wrong with a request for a path or method that is not served."""
    if not isinstance(error, HTTPException):
        return error
    root, path = request.scope.get("root_path", ""), request.scope["path"]
    methods = set(allowed(path.removeprefix(root)) if error.status_code == 404 else _methods_named_by(error))
    if methods:
        listed = ", ".join(sorted(methods))
        detail = f"{path} does not take {request.method}; it takes {listed}"
        return HttpError(405, detail, code="method-not-allowed", headers=((b"allow", listed.encode()),))
    if error.status_code == 404:
        return HttpError(404, f"nothing is served at {path}; {root}/docs lists what is", code="not-found")
    return HttpError(error.status_code, error.detail)


def _methods_named_by(error: HTTPException) -> list[str]:
    return (error.headers or {}).get("Allow", "").split(", ") if error.status_code == 405 else []


def _problem_response(request: StarletteRequest, error: Exception) -> Response:
    status, headers, body = problem(error, request.headers.get("x-request-id", ""))
    plain = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status, plain, media_type=PROBLEM_TYPE.decode())
