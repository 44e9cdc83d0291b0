from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.openapi import describe
from kapelle.gateway.system import METRICS_TYPE, system_application
from kapelle.observe.metrics import Family, Registry
from kapelle.testing import running
from kapelle.transport.connection import Connection


@kapelle.service
class Echo:
    @kapelle.method
    def echo(self, text: str) -> str:
        return text


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.headers["x-request-id"])


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("a secret")


@kapelle.app(mounts={"/other": Starlette(routes=[Route("/hello", hello), Route("/broken", broken)])})
class App:
    echo: Echo

    @kapelle.post("/say")
    async def say(self, text: str) -> str:
        return await self.echo.echo(text)

    @kapelle.get("/items/{name}")
    async def item(self, name: str) -> str:
        return name


async def nobody(address: str) -> Connection:
    raise ConnectionRefusedError(address)


async def no_metrics() -> list[Family]:
    return []


class System:
    """The system routes of a gateway whose fleet, metrics and state a test sets."""

    def __init__(self, collect: Callable[[], Awaitable[list[Family]]] = no_metrics) -> None:
        spec = app_spec(App)
        assert spec is not None
        self.draining = False
        self.routes = {"/say": ["POST"], "/items/a": ["GET", "HEAD", "GET"]}
        self.application = system_application(
            spec,
            Fleet(spec, "gateway", nobody, Registry()),
            collect=collect,
            draining=lambda: self.draining,
            allowed=lambda path: list(self.routes.get(path, [])),
            offered=[],
            described=(),
        )

    async def ask(self, method: str, path: str, root: str = "") -> httpx.Response:
        transport = httpx.ASGITransport(self.application, raise_app_exceptions=False, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, root + path, headers={"x-request-id": "id-1"})


async def test_the_description_says_where_the_app_is_mounted() -> None:
    system = System()
    plain = (await system.ask("GET", "/openapi.json")).json()
    assert "servers" not in plain
    below = (await system.ask("GET", "/openapi.json", root="/models/v1")).json()
    assert below == {**plain, "servers": [{"url": "/models/v1"}]}


def problem_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == "id-1"
    return problem


async def test_a_gateway_lives_as_soon_as_it_answers() -> None:
    response = await System().ask("GET", "/livez")
    assert (response.status_code, response.text) == (200, "ok\n")


async def test_readiness_names_what_is_missing() -> None:
    response = await System().ask("GET", "/readyz")
    assert (response.status_code, response.text) == (503, "waiting for Echo\n")
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"


async def test_a_draining_gateway_is_not_ready() -> None:
    system = System()
    system.draining = True
    response = await system.ask("GET", "/readyz")
    assert (response.status_code, response.text) == (503, "draining\n")


async def test_a_gateway_with_all_its_services_is_ready() -> None:
    async with running(App) as system:
        response = await system.client.get("/readyz")
        assert (response.status_code, response.text) == (200, "ok\n")


async def test_metrics_are_collected_when_asked_for() -> None:
    registry = Registry()
    registry.counter("things_total", "Things.").inc(3)

    async def collect() -> list[Family]:
        return registry.collect()

    response = await System(collect).ask("GET", "/metrics")
    assert response.headers["content-type"] == METRICS_TYPE
    assert "things_total 3.0\n" in response.text


async def test_the_description_is_that_of_the_app() -> None:
    spec = app_spec(App)
    assert spec is not None
    response = await System().ask("GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.content == describe(spec)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
        ("/docs/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_and_its_files_come_with_a_strict_policy(path: str, kind: str) -> None:
    response = await System().ask("GET", path)
    assert response.status_code == 200
    assert response.headers["content-type"] == kind
    assert response.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_page_has_the_name_of_the_app() -> None:
    assert "<title>App</title>" in (await System().ask("GET", "/docs")).text


async def test_unknown_paths_are_told_where_to_look() -> None:
    problem = problem_of(await System().ask("GET", "/nowhere"))
    assert (problem["status"], problem["type"]) == (404, "urn:kapelle:error:not-found")
    assert problem["detail"] == "nothing is served at /nowhere; /docs lists what is"


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("GET", "/say", "POST"),
        ("POST", "/items/a", "GET, HEAD"),
        ("POST", "/livez", "GET, HEAD"),
        ("DELETE", "/docs/page.js", "GET, HEAD"),
    ],
)
async def test_other_methods_are_told_which_are_taken(method: str, path: str, methods: str) -> None:
    response = await System().ask(method, path)
    problem = problem_of(response)
    assert (problem["status"], problem["type"]) == (405, "urn:kapelle:error:method-not-allowed")
    assert problem["detail"] == f"{path} does not take {method}; it takes {methods}"
    assert response.headers["allow"] == methods


async def test_below_the_path_of_another_application_all_is_found_too() -> None:
    assert (await System().ask("GET", "/docs/page.js", root="/models")).status_code == 200
    assert (await System().ask("GET", "/say", root="/models")).headers["allow"] == "POST"
    problem = problem_of(await System().ask("GET", "/nowhere", root="/models"))
    assert problem["detail"] == "nothing is served at /models/nowhere; /models/docs lists what is"


async def test_a_failure_is_a_problem_without_its_reason() -> None:
    async def collect() -> list[Family]:
        raise RuntimeError("a secret")

    response = await System(collect).ask("GET", "/metrics")
    assert problem_of(response)["status"] == 500
    assert "secret" not in response.text


async def test_mounted_applications_answer_below_their_path() -> None:
    system = System()
    assert (await system.ask("GET", "/other/hello")).text == "id-1"
    assert (await system.ask("GET", "/other/nowhere")).status_code == 404
    assert "secret" not in (await system.ask("GET", "/other/broken")).text


async def test_requests_without_an_id_are_answered_too() -> None:
    transport = httpx.ASGITransport(System().application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.get("/nowhere")).json()["request_id"] == ""


async def test_head_has_the_length_and_no_body_through_the_real_front() -> None:
    async with running(App) as system:
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/page.css"):
            head = await system.client.head(path)
            assert head.status_code == 200
            assert head.content == b""
            assert int(head.headers["content-length"]) > 0


async def test_problems_through_the_real_front_have_the_gateways_id() -> None:
    async with running(App) as system:
        response = await system.client.get("/nowhere", headers={"x-request-id": "not a safe id"})
        problem = msgspec.json.decode(response.content)
        assert problem["request_id"] == response.headers["x-request-id"] != "not a safe id"
