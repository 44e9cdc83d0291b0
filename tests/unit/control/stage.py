"""Where puppets play: recipes for them, what a process is started in, and the plan of a whole system of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import kapelle
from kapelle.config.orders import Holding
from kapelle.config.settings import Settings
from kapelle.control.plan import Plan, Stock, make_plan
from kapelle.control.process import AsPlanned, Process, Surroundings
from kapelle.control.recipes import Recipe, Role
from kapelle.core.life import Terms
from kapelle.declare.apps import app_spec
from kapelle.transport.sockets import Address
from tests.house.sources import ROOT

TERMS = Terms(start_timeout=20.0, hang_after=10.0, drain_timeout=10.0, first_backoff=0.01, crash_loop=3)


def recipe(play: str, slot: str = "Puppet-0", role: Role = "replica", memory_limit: int | None = None) -> Recipe:
    """A process that plays ``play``."""

    def orders(name: str, _: Holding, work: int, control: int) -> bytes:
        return json.dumps({"play": play, "data": work, "control": control}).encode()

    return Recipe(
        slot,
        role,
        "Puppet",
        Holding("r1", [0]),
        "tests.unit.control.puppet",
        orders,
        {"PYTHONPATH": str(ROOT)},
        memory_limit,
        "digest",
    )


@kapelle.service
class Puppet:
    @kapelle.method
    def same(self, x: int) -> int:
        return x


@kapelle.app
class Theatre:
    puppet: Puppet

    @kapelle.get("/same")
    async def same(self, x: int) -> int:
        return await self.puppet.same(x)


def plan(folder: Path, **settings: Any) -> Plan:
    """The plan of a system at any port; whose ``recipes`` may be replaced by those of puppets."""
    app = app_spec(Theatre)
    assert app is not None
    return make_plan("theatre.py", app, msgspec.convert({"port": 0, **settings}, Settings), Stock(folder))


class Stage:
    """Remembers what it was told of its processes; ``changed`` is called at each."""

    def __init__(self, folder: Path, changed: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.changed = changed
        self.changes = 0
        self.replaced: list[Process] = []
        self.ended: list[Process] = []
        self.around = Surroundings(
            data=lambda name: Address("unix", str(folder / f"{name}.data")),
            control=lambda name: Address("unix", str(folder / f"{name}.control")),
            door=lambda: 0,
            on_change=self._on_change,
            on_acquainted=self._on_change,
            holdings=AsPlanned(),
            on_replace=self._on_replace,
            on_end=self._on_end,
            drain_timeout=5.0,
        )

    def process(self, play: str, terms: Terms = TERMS) -> Process:
        """A process that plays ``play``, not started yet."""
        return Process("Puppet-0", recipe(play), terms, self.around)

    def _on_change(self) -> None:
        self.changes += 1
        self.changed()

    def _on_replace(self, process: Process) -> None:
        self.replaced.append(process)
        self.changed()

    def _on_end(self, process: Process) -> None:
        self.ended.append(process)
        self.changed()
