"""Inferences are counted, those that fail as well."""

from __future__ import annotations

import asyncio

import pytest

from kapelle.gateway.protocols.statistics import Statistics
from tests.unit.gateway.protocols.zoo import MODELS


async def test_each_model_has_its_tally() -> None:
    statistics = Statistics()

    async def work(error: BaseException | None = None) -> str:
        if error is not None:
            raise error
        return "done"

    model = MODELS["Doubler"]
    assert await statistics.of(model, work()) == "done"
    for error in (ValueError(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await statistics.of(model, work(error))
    tally = statistics.tally(MODELS["Doubler.double"])
    assert (tally.successes, tally.failures) == (1, 2)
    assert tally.success_ns > 0
    assert tally.failure_ns > 0
    assert tally.last > 1_700_000_000_000
    assert statistics.tally(MODELS["Animals.echo"]).successes == 0
