"""What every gateway serves beside the app: health, metrics, the API's description and its page, and mounted applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from kapelle.declare.apps import AppSpec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.openapi import describe
from kapelle.gateway.page import page
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.observe.metrics import Family, render

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def system_application(
    spec: AppSpec,
    fleet: Fleet,
    *,
    collect: Callable[[], Awaitable[list[Family]]],
    draining: Callable[[], bool],
    allowed: Callable[[str], list[str]],
) -> Starlette:
    """The ASGI application for every path that is not an endpoint of the app."""
    description = describe(spec)

    async def livez(_: StarletteRequest) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: StarletteRequest) -> Response:
        if draining():
            return PlainTextResponse("draining\n", 503, {"retry-after": "1"})
        if not fleet.ready:
            return PlainTextResponse(f"waiting for {', '.join(fleet.waiting_for)}\n", 503, {"retry-after": "1"})
        return PlainTextResponse("ok\n")

    async def metrics(_: StarletteRequest) -> Response:
        return Response(render(await collect()), media_type=METRICS_TYPE)

    async def openapi(_: StarletteRequest) -> Response:
        return Response(description, media_type="application/json")

    async def docs(_: StarletteRequest) -> Response:
        return HTMLResponse(page(spec.name))

    async def refuse(request: StarletteRequest, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = f"nothing is served at {request.url.path}; /docs lists what is"
        headers: tuple[tuple[bytes, bytes], ...] = ()
        methods = allowed(request.url.path)
        if status == 404 and methods:
            status, detail = 405, f"{request.url.path} takes {', '.join(methods)}"
            headers = ((b"allow", ", ".join(methods).encode()),)
        elif status == 405:
            detail = f"{request.url.path} does not take {request.method}"
            given: Any = getattr(error, "headers", None) or {}
            headers = tuple((name.lower().encode(), value.encode()) for name, value in given.items())
        status, headers, body = problem(
            HttpError(status, detail, code="not-found" if status == 404 else "http", headers=headers),
            request.headers.get("x-request-id", ""),
        )
        plain = {name.decode(): value.decode() for name, value in headers}
        return Response(body, status, plain, media_type=PROBLEM_TYPE.decode())

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
            Route("/docs", docs),
            *(Mount(path, application) for path, application in spec.mounts.items()),
        ],
        exception_handlers={HTTPException: refuse},
    )
