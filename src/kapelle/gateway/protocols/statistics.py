"""How often each model was asked, and how long that took: the statistics extension of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from kapelle.clock import monotonic, wall
from kapelle.gateway.protocols.models import Model


@dataclass
class Tally:
    """Inferences that ended, and the nanoseconds they took in all. ``last`` is in milliseconds of the wall clock."""

    successes: int = 0
    success_ns: int = 0
    failures: int = 0
    failure_ns: int = 0
    last: int = 0


class Statistics:
    """The tallies of all models, since this gateway has started."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def tally(self, model: Model) -> Tally:
        """That of one model."""
        return self._tallies.setdefault(model.name, Tally())

    async def of(self, model: Model, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of ``work``, which is counted."""
        tally = self.tally(model)
        began = monotonic()
        try:
            result = await work
        except BaseException:
            tally.failures += 1
            tally.failure_ns += int((monotonic() - began) * 1e9)
            raise
        tally.successes += 1
        tally.success_ns += int((monotonic() - began) * 1e9)
        tally.last = int(wall() * 1e3)
        return result
