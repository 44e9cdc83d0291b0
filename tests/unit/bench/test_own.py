from __future__ import annotations

import pytest

from kapelle.bench.figures import FUSED, SHARED, TCP, UNIX
from kapelle.bench.own import Effort, measure_own, measure_system, served, way_of
from kapelle.bench.system import quiet
from kapelle.config.settings import Settings
from kapelle.errors import ConfigError
from tests.unit.bench.pipeline import BAD, GOOD, subject

EFFORT = Effort(0.02, 2)


async def test_the_request_goes_through_every_way_that_a_system_can_be_set_to() -> None:
    told: list[str] = []
    lines = await measure_own(subject(GOOD), EFFORT, lambda what, _: told.append(what))
    assert [line.way for line in lines] == [TCP, UNIX, SHARED, FUSED]
    assert all(line.alone.requests > 0 and line.loaded.throughput > 0 for line in lines)
    assert told.count("/change, fused: starting") == 2  # twice


async def test_a_request_that_is_refused_is_an_error_with_the_reason() -> None:
    asked = subject(BAD)
    system = served(SHARED, asked, quiet(asked.settings))
    with pytest.raises(ConfigError, match=r"POST /change was answered with 422: .*text.*--request"):
        await measure_system(system, asked, EFFORT, lambda *_: None)


@pytest.mark.parametrize(
    ("settings", "way"),
    [(Settings(), SHARED), (Settings(shared_memory=0), UNIX), (Settings(transport="tcp"), TCP)],
)
def test_knows_the_way_of_a_system(settings: Settings, way: str) -> None:
    assert way_of(settings) == way
