"""What a gateway offers beside the app."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.offers import Offers
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Registry
from kapelle.testing import running
from tests.unit.gateway.protocols.conftest import nobody
from tests.unit.gateway.protocols.zoo import Zoo


@pytest.mark.parametrize("grpc", [True, False])
async def test_each_model_has_its_endpoints(grpc: bool) -> None:
    spec = app_spec(Zoo)
    assert spec is not None
    fleet = Fleet(spec, "gateway", nobody, Registry())
    offers = Offers(spec, fleet, Settings(), Registry(), Regions(Path("/nowhere")), grpc=grpc)
    paths = {route.path for one in offers.endpoints for route in one.routes}
    assert {
        "/services/animals/echo",
        "/v2/models/Doubler/infer",
        "/v2/models/Doubler.double/infer",
        "/v1/models/Animals.echo:predict",
        "/v1/embeddings",
    } <= paths
    assert ("Doubler" in offers.grpc_endpoints) is grpc
    assert {one.name for one in offers.described} >= {"Animals.plain", "Doubler.double"}


async def test_one_call_has_one_answer_whatever_the_way() -> None:
    async with running(Zoo) as system:
        client, x = system.client, [[1.0, 2.0, 3.0, 4.0]]
        expected = [[2.0, 4.0, 6.0, 8.0]]
        by_python = await system.app.doubler.double.many(np.array(x, np.float32))
        inputs = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": x}]
        by_v2 = (await client.post("/v2/models/Doubler/infer", json={"inputs": inputs})).json()
        by_v1 = (await client.post("/v1/models/Doubler:predict", json={"instances": x})).json()
        by_path = (await client.post("/services/doubler", json={"x": x})).json()
        assert by_v2["outputs"][0]["data"] == expected[0]
        assert by_python.tolist() == expected
        assert by_v1 == {"predictions": expected}
        assert by_path == expected


async def test_the_apps_alone_are_served_where_that_is_set() -> None:
    async with running(Zoo, expose_services=False) as system:
        assert (await system.client.get("/")).text == "welcome"
        for path in ("/services", "/v2", "/v2/health/live", "/services/doubler"):
            assert (await system.client.get(path)).status_code == 404
        paths = (await system.client.get("/openapi.json")).json()["paths"]
        assert list(paths) == ["/"]
