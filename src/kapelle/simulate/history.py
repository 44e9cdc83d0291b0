"""One history: a system, wishes and faults drawn from a seed, a storm, and the calm in which all must end well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from kapelle.core.assignment import Replica, assign
from kapelle.core.rollout_messages import WHOLE, Outcome, Pointer, Process
from kapelle.simulate.band import Band
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.releases import Flaw, draw
from kapelle.simulate.world import World

STORM = 8.0
"""Seconds in which things go wrong."""
CALM = 60.0
"""Seconds within which everything has to be as the pointer says once nothing goes wrong any more."""
GLANCE = 1.5


class History:
    """The same seed gives the same history. ``say`` is told every line of it."""

    def __init__(self, seed: int, say: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self._joined = 0
        self._changes_code = False
        """Whether some of the releases have other code. There is one controller then: each has its own processes."""
        self.world = World(seed, say)
        self._random = self.world.random
        names = [f"r{number}" for number in range(1, 5)]
        # The first and the last are sound: to begin with, and to publish when all is over.
        self.releases = {name: draw(self._random, name, sound=name in ("r1", "r4")) for name in names}
        if self._random.random() < 0.3:
            self._changes_code = True
            for name in self._random.choice([("r2",), ("r3",), ("r2", "r3"), ("r3", "r4")]):
                found = self.releases[name]
                self.releases[name] = replace(found, shape=replace(found.shape, code="b"))
        in_turn = self._random.choice([(), (), (), ("cluster",), ("encoder", "cluster")])
        self._at_least = 2 if in_turn else 1
        """Replicas of each service: what changes in turn needs two."""
        copies = {"encoder": 1, "cluster": self._random.randrange(self._at_least, 3)}
        self.band = Band(self.world, self.releases, copies, frozenset(in_turn))

    def live(self) -> None:
        """Live through it.

        Raises:
            Violation: something happened that must never happen, or the end was not reached.
        """
        self._settle()
        self._plan_faults()
        self._plan_wishes()
        self.band.start_controller()
        for gateway in list(self.band.checks.gateways()):
            self._keep_asking(gateway.process.name)
        self.world.run(STORM)
        self._calm_down()
        if self._random.random() < 0.15:
            self._publish_again()

    def _settle(self) -> None:
        """Start the processes, in most histories with a release that has been theirs for long."""
        band = self.band
        band.staff.on_gateway = self._keep_asking
        for number in range(self._random.randrange(1, 3)):
            band.start_process(f"gateway-{number}", "", f"node-{number}")
        for number in range(self._random.randrange(self._at_least, 3)):
            band.start_process(f"encoder-{number}", "encoder", f"node-{number}")
        clusters = self._random.randrange(self._at_least, 4)
        for number in range(clusters):
            band.start_process(f"cluster-{number}", "cluster", f"node-{number % 2}")
        band.staff.plan = [(one.name, one.service, one.node) for one in map(_told, band.processes.values())]
        if self._random.random() < 0.1:
            return
        self.world.write(Pointer(1, "r1", author="somebody before"))
        sizes = self.releases["r1"].shape.services["cluster"]
        replicas = [Replica(f"cluster-{number}", f"node-{number % 2}") for number in range(clusters)]
        shards = assign(sizes, replicas, band.copies["cluster"])
        for name, process in band.processes.items():
            if held := shards.get(name, WHOLE):
                process.holds["r1"] = held
            process.fence.epoch = 1
            if isinstance(process, SimulatedGateway):
                process.routed = (1, "r1")

    def _plan_wishes(self) -> None:
        random = self._random
        when = 0.3 + random.random()
        for release in ("r2", "r3"):
            first = f" at {random.random():.2f}" if random.random() < 0.3 else ""
            self.world.at(when, partial(self._wish, release + first))
            when += 0.5 + random.random() * 5
        if random.random() < 0.2:
            self.world.at(1 + random.random() * 5, partial(self._wish, "rollback"))
        if random.random() < 0.1:
            self.world.at(1 + random.random() * 3, partial(self._wish, "cancel"))

    def _wish(self, wish: str) -> None:
        self.world.note("WISH", wish)
        if self.band.controllers:
            self.band.controllers[-1].wish(wish)

    def _plan_faults(self) -> None:
        random = self._random
        deaths = [self._kill_process, self._kill_process, self._kill_controller, self._second_controller]
        faults, count = [*deaths, self._slow, self._clumsy, self._join, self._leave], random.randrange(5)
        theme = random.random()
        if theme < 0.1:  # replicas come and go
            faults, count = [self._join, self._leave, self._kill_process], random.randrange(5, 12)
            self.band.terms = replace(self.band.terms, reassign_after=0.3)
        elif theme < 0.2:  # two controllers and restless gateways
            faults, count = [self._second_controller, self._kill_gateway], random.randrange(5, 12)
            self.releases["r2"] = replace(self.releases["r2"], flaw=Flaw.WORSE)
        self.band.regrets = random.random() < 0.1
        if random.random() < 0.2:
            self.band.jinx = partial(self._befall, random.choice(faults))
        for _ in range(count):
            self.world.at(random.random() * STORM * 0.9, random.choice(faults))

    def _befall(self, fault: Callable[[], None]) -> None:
        if self.world.stormy:
            fault()

    def _kill_process(self) -> None:
        random = self._random
        process = random.choice(list(self.band.processes.values()))
        self.band.kill(process, random.choice([0.1, 1.0, 6.0]))

    def _kill_gateway(self) -> None:
        if gateways := self.band.checks.gateways():
            self.band.kill(self._random.choice(gateways), 0.1)

    def _kill_controller(self) -> None:
        if self.band.controllers:
            self._random.choice(self.band.controllers).effects_left = self._random.randrange(12)

    def _second_controller(self) -> None:
        if not self._changes_code and len(self.band.controllers) == 1:
            self.band.start_controller()

    def _slow(self) -> None:
        self._any().slow = True

    def _clumsy(self) -> None:
        self._any().clumsy = True

    def _join(self) -> None:
        """A replica more."""
        self._joined += 1
        if self._joined < 6:
            name, node, code = f"cluster-1{self._joined}", self._random.choice(["node-0", "node-5"]), self._code
            self.band.start_process(f"{name}.{code}" if code else name, "cluster", node, code=code)

    def _leave(self) -> None:
        """A replica less, for good."""
        alive = [each.process for each in self.band.processes.values() if each.alive]
        replicas = [
            self.band.processes[one.name] for one in alive if (one.service, one.code) == ("cluster", self._code)
        ]
        if len(replicas) > self._at_least:
            self.band.kill(self._random.choice(replicas), for_good=True)

    @property
    def _code(self) -> str:
        """Of the current release."""
        release = self.world.head.release
        return self.releases[release].shape.code if release is not None else ""

    def _any(self) -> Simulated:
        return self._random.choice(list(self.band.processes.values()))

    def _keep_asking(self, name: str) -> None:
        gateway = self.band.processes.get(name)
        if gateway is None:
            return
        if gateway.alive and isinstance(gateway, SimulatedGateway):
            self.band.request(gateway)
        if self.world.stormy:
            self.world.after(0.2 + self._random.random(), partial(self._keep_asking, name))

    def _calm_down(self) -> None:
        """Nothing goes wrong any more; one controller is left."""
        self.world.note("CALM")
        self.world.stormy = False
        self.band.jinx = None
        self.band.regrets = False
        for process in self.band.processes.values():
            process.slow = process.clumsy = False
        for controller in list(self.band.controllers):
            controller.effects_left = None
            if controller is not self.band.controllers[-1]:
                self.band.kill_controller(controller)
        self._await_the_end()

    def _await_the_end(self) -> None:
        last = self.world.now + CALM
        while (missing := self._missing()) is not None:
            if self.world.now >= last:
                raise self.world.violated(f"not at rest {CALM:g} s after the storm: {missing}")
            self.world.run(self.world.now + GLANCE)

    def _missing(self) -> str | None:
        if len(self.band.controllers) != 1:
            return "no controller yet"
        controller = self.band.controllers[0]
        if controller.rollout.pointer != self.world.head:
            return "the controller does not know the pointer"
        if controller.rollout.job is not None:
            return f"{controller.rollout.job.release} is still being published"
        return self.band.checks.unconverged()

    def _publish_again(self) -> None:
        """Whatever happened before, a sound release can be published now."""
        self.world.note("AGAIN")
        self.world.run(self.world.now + 4)
        controller = self.band.controllers[0]
        controller.wish("r4")
        self._await_the_end()
        if [ended.outcome for ended in controller.ended[-1:]] != [Outcome.COMMITTED]:
            raise self.world.violated(f"r4 is sound and was not committed: {controller.ended}")


def _told(process: Simulated) -> Process:
    return process.process
