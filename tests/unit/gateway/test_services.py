"""The state of each service."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.testclient import TestClient

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.services import ServiceRoutes
from kapelle.observe.metrics import Registry
from kapelle.testing import running
from kapelle.wire.messages import Member, Members
from tests.unit.gateway.protocols.conftest import nobody
from tests.unit.gateway.protocols.zoo import Cages, Zoo, exposed


async def test_each_service_is_told_of() -> None:
    async with running(Zoo) as system:
        every = (await system.client.get("/services")).json()["services"]
        assert [one["name"] for one in every] == ["Doubler", "Animals"]
        doubler = {
            "name": "Doubler",
            "ready": True,
            "release": "local",
            "methods": {"double": "/services/doubler/double"},
            "inline": True,
        }
        for path in ("/services/doubler", "/services/Doubler", "/services/doubler/health"):
            assert (await system.client.get(path)).json() == doubler
        for path in ("livez", "readyz"):
            assert (await system.client.get(f"/services/doubler/{path}")).text == "ok\n"
        missing = await system.client.get("/services/none")
        assert (missing.status_code, missing.json()["detail"]) == (
            404,
            "there is no service 'none'; there is doubler, animals",
        )


@kapelle.service(inline=True)
class Cutter:
    @kapelle.method
    def cut(self, file: bytes, most: int) -> bytes:
        raise NotImplementedError

    @kapelle.method
    def count(self, file: bytes) -> int:
        raise NotImplementedError


@kapelle.app
class Cutting:
    cutter: Cutter

    @kapelle.get("/")
    async def visit(self) -> str:
        raise NotImplementedError


async def test_methods_that_have_no_path_are_not_listed() -> None:
    async with running(Cutting) as system:
        assert (await system.client.get("/services/cutter")).json()["methods"] == {"count": "/services/cutter/count"}


async def test_a_service_without_replicas_is_not_ready() -> None:
    spec = app_spec(Cages)
    assert spec is not None
    fleet = Fleet(spec, "gateway", nobody, Registry())
    fleet.open("r1", {"Cage": 1})
    fleet.route("r1")
    fleet.update(Members(1, [Member("Cage-0", "replica", "Cage", [0], "", "", ready=False)]))
    draining = False
    routes = ServiceRoutes(spec, exposed(Cages), fleet, lambda: draining).routes()
    client = TestClient(Starlette(routes=routes))
    ready = client.get("/services/cage/readyz")
    assert (ready.status_code, ready.text, ready.headers["retry-after"]) == (503, "waiting for Cage\n", "1")
    about = client.get("/services/cage")
    assert about.status_code == 503
    assert about.json()["replicas"] == [{"name": "Cage-0", "reached": False, "shards": [0]}]
    assert client.get("/services/cage/livez").status_code == 200
    draining = True
    assert client.get("/services/cage/readyz").text == "draining\n"
