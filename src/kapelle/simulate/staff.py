"""Processes of other code: started beside those there are when a release needs them, let go when nothing does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kapelle.core.rollout import Rollout
from kapelle.core.rollout_messages import Effect, Process
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.world import World


class Controller(Protocol):
    """What is looked at of a controller."""

    rollout: Rollout
    alive: bool

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the machine says."""


class Band(Protocol):
    """What is looked at of a band."""

    world: World
    processes: dict[str, Simulated]

    @property
    def controllers(self) -> Sequence[Controller]:
        """Those that live."""

    def start_process(self, name: str, service: str, node: str, *, code: str = "") -> None:
        """Start a replica, or a gateway when there is no service."""

    def end(self, process: Simulated) -> None:
        """A process ends by itself."""


class Staff:
    """What the controller of a machine does besides. Code has processes named after it: ``cluster-0.b`` runs ``b``."""

    def __init__(self, band: Band) -> None:
        self.plan: list[tuple[str, str, str]] = []
        """The name, service and node of each process there should be of any code."""
        self.on_gateway: Callable[[str], None] = lambda _: None
        """Told of a gateway that is new."""
        self._band = band
        self._busy = False

    def look(self, controller: Controller) -> None:
        """See that those are there which are needed, as far as ``controller`` knows."""
        needed = controller.rollout.codes
        if needed is None or self._busy or not self.plan:
            return
        self._busy = True
        try:
            there = {process.process.code for process in self._band.processes.values()}
            for code in sorted(needed - there):
                self._start(code, controller)
            for code in sorted(there - needed):
                self._let_go(code)
        finally:
            self._busy = False

    def look_again(self) -> None:
        """Something has ended that others wait for."""
        if self._band.controllers:
            self.look(self._band.controllers[-1])

    def _start(self, code: str, controller: Controller) -> None:
        started: list[Process] = []
        for name, service, node in self.plan:
            own_name = f"{name}.{code}" if code else name
            self._band.start_process(own_name, service, node, code=code)
            started.append(self._band.processes[own_name].process)
            if not service:
                self.on_gateway(own_name)
        for process in started:
            # Whoever starts a process knows of it at once.
            if controller.alive:
                controller.carry_out(controller.rollout.started(process, self._band.world.now))

    def _let_go(self, code: str) -> None:
        """End them: gateways when they have answered, then replicas."""
        group = [process for process in self._band.processes.values() if process.process.code == code]
        gateways = [one for one in group if isinstance(one, SimulatedGateway)]
        for gateway in gateways:
            gateway.drain()
            if not gateway.busy:
                self._end(gateway)
        if not gateways:
            for replica in group:
                self._end(replica)

    def _end(self, process: Simulated) -> None:
        self._band.world.note(process.process.name, "is let go")
        self._band.end(process)
