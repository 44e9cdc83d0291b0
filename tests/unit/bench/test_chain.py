from __future__ import annotations

import pytest

from kapelle.bench.chain import declare
from kapelle.bench.payload import payload, received
from kapelle.declare.apps import app_spec
from kapelle.testing import running


@pytest.mark.parametrize("stages", [1, 3])
async def test_a_chain_is_an_app_of_so_many_services(stages: int) -> None:
    chain = declare(stages, __name__)
    spec = app_spec(chain)
    assert spec is not None
    assert list(spec.services) == [f"Stage{number}" for number in range(stages)]
    async with running(chain) as system:
        answer = await system.client.get("/200000")
    assert answer.json() == received(payload(200_000))


def test_belongs_to_the_module_that_declares_it() -> None:
    spec = app_spec(declare(2, "somewhere"))
    assert spec is not None
    assert {spec.cls.__module__, *(one.cls.__module__ for one in spec.services.values())} == {"somewhere"}
