"""A whole system in a simulated world: controllers around the real rollout machine, processes, requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from kapelle.core.rollout import Rollout
from kapelle.core.rollout_messages import (
    AskGolden,
    Effect,
    Ended,
    MovePointer,
    Pointer,
    Prepare,
    Process,
    Progress,
    Report,
    Rest,
    Retire,
    Route,
    Side,
    Terms,
    Watch,
)
from kapelle.simulate.checks import Checks
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.releases import Flaw, Release
from kapelle.simulate.staff import Staff
from kapelle.simulate.world import World

TERMS = Terms(
    prepare_timeout=20.0,
    golden_timeout=3.0,
    bake=3.0,
    reassign_after=4.0,
    repeat=1.0,
    linger=3.0,
    claim_after=1.0,
    step_back=5.0,
)


class Controller:
    """The shell around one ``Rollout``. It may be killed between any two effects."""

    def __init__(self, band: Band, author: str) -> None:
        self.band = band
        self.world = band.world
        self.rollout = Rollout(author, band.terms)
        self.alive = True
        self.effects_left: int | None = None
        """It dies when it has carried out so many effects more."""
        self.ended: list[Ended] = []
        self.began_at = 0
        self._tick_at: float | None = None

    def start(self) -> None:
        """Learn of the releases, the processes, and where the pointer is."""
        now = self.world.now
        band = self.band
        for release in band.releases.values():
            self.carry_out(self.rollout.shape(replace(release.shape, copies=band.copies, in_turn=band.in_turn), now))
        for process in self.band.processes.values():
            if process.alive:
                self.carry_out(self.rollout.started(process.process, now))
                self.band.tell_one(process, self)
        self.world.send(self.read, self.read)

    def read(self) -> None:
        """Read the pointer's log."""
        self.told_entry(self.world.head)

    def told_entry(self, entry: Pointer) -> None:
        """The answer of the store has come."""
        if self.alive:
            self.carry_out(self.rollout.read(entry, self.world.now))

    def told_report(self, report: Report) -> None:
        """A report has come."""
        if self.alive:
            self.carry_out(self.rollout.report(report, self.world.now))

    def wish(self, wish: str) -> None:
        """Somebody wants to roll back, to cancel, or to publish a release: "r2", or "r2 at 0.1" of the requests first."""
        if not self.alive:
            return
        if self.rollout.job is None and self.rollout.pointer is not None:
            self.began_at = self.rollout.pointer.epoch
        now = self.world.now
        if wish == "rollback":
            self.carry_out(self.rollout.rollback(now))
        elif wish == "cancel":
            self.carry_out(self.rollout.cancel(now))
        else:
            release, _, share = wish.partition(" at ")
            side = Side(release, float(share), mirrored=self.world.random.random() < 0.3) if share else None
            self.carry_out(self.rollout.publish(release, now, side))

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the machine says, one after the other."""
        for effect in effects:
            if not self.alive:
                return
            if self.effects_left is not None:
                self.effects_left -= 1
                if self.effects_left < 0:
                    self.band.kill_controller(self)
                    return
            if self.world.is_traced:
                self.world.note(self.rollout.author, "says", _worded(effect))
            self._do(effect)
        if self is self.band.controllers[-1]:
            self.band.staff.look(self)
        wake = self.rollout.wake
        if self.alive and wake is not None and (self._tick_at is None or wake < self._tick_at):
            self._tick_at = wake
            self.world.at(max(wake, self.world.now), partial(self._tick, wake))

    def _do(self, effect: Effect) -> None:
        world, band = self.world, self.band
        match effect:
            case Prepare() | Retire() | Route() | Rest():
                target = band.processes.get(effect.process.name)
                if target is not None:
                    world.send(partial(target.obey, effect))
            case MovePointer(entry=entry):
                world.send(partial(band.write, entry, self), self.read)
                if band.regrets and entry.release != world.head.release:
                    world.after(world.random.random(), partial(self.wish, "cancel"))
            case AskGolden(epoch=epoch, release=name):
                failure = "no answer is right" if band.releases[name].flaw is Flaw.GOLDEN else None
                world.send(partial(self._golden, epoch, name, failure))
            case Watch(new=new) if band.releases[new].flaw is Flaw.WORSE:
                world.after(0.2 + world.random.random(), partial(self._breach, effect))
            case Ended():
                self.ended.append(effect)
                band.checks.ended(effect, self.rollout.author, self.began_at)
            case _:
                pass

    def _golden(self, epoch: int, release: str, failure: str | None) -> None:
        if self.alive:
            self.carry_out(self.rollout.golden(epoch, release, failure, self.world.now))

    def _breach(self, watch: Watch) -> None:
        pointer = self.rollout.pointer
        seen = pointer is not None and watch.new in (pointer.release, pointer.side.release if pointer.side else None)
        if self.alive and seen:
            self.carry_out(self.rollout.breach("its answers are worse", self.world.now))

    def _tick(self, due: float) -> None:
        if self.alive and self._tick_at == due:
            self._tick_at = None
            self.carry_out(self.rollout.tick(self.world.now))


class Band:
    """All processes and controllers, and what kills and starts them."""

    def __init__(
        self, world: World, releases: dict[str, Release], copies: dict[str, int], in_turn: frozenset[str] = frozenset()
    ) -> None:
        self.world = world
        self.copies = copies
        self.in_turn = in_turn
        """The services whose replicas have no room for two releases."""
        self.terms = TERMS
        self.releases = releases
        self.processes: dict[str, Simulated] = {}
        self.controllers: list[Controller] = []
        self.checks = Checks(world, releases, copies, in_turn, self.processes)
        self.jinx: Callable[[], None] | None = None
        """What befalls the system shortly after each entry."""
        self.regrets = False
        """Whether somebody cancels when it is almost too late."""
        self.staff = Staff(self)
        self._authors = 0
        self._lives: dict[str, int] = {}

    def start_process(self, name: str, service: str, node: str, *, code: str = "") -> None:
        """Start a replica, or a gateway when there is no service."""
        kind = Simulated if service else SimulatedGateway
        incarnation = self._lives[name] = self._lives.get(name, 0) + 1
        process = Process(name, "replica" if service else "gateway", service, node, incarnation, code)
        started = self.processes[name] = kind(self.world, process, self.releases, self.tell, self.kill)
        started.has_room_for_two = service not in self.in_turn
        self.world.note(name, "starts")
        for controller in self.controllers:
            # Sooner or later, but told by the system: this is not lost.
            noticed = self.world.random.random() * 1.0 * self.world.stormy
            self.world.after(noticed, partial(self._tell_started, controller, process))
        self.world.after(0.1, partial(self.tell, started))

    def kill(self, process: Simulated, away: float | None = None, *, for_good: bool = False) -> None:
        """Kill a process. It is started again after ``away`` seconds, unless it left ``for_good``."""
        if not process.alive:
            return
        if process.killed_by and self.terms.reassign_after >= TERMS.reassign_after:
            # Where the dead are given up at once, whoever is left is all there is, and has to be risked.
            self.checks.killed_by_loading(process, process.killed_by, counted_on=self._is_counted_on(process))
        process.alive = False
        self.world.note(process.process.name, "dies")
        self.checks.killed(process)
        self._bury(process)
        old = process.process
        if for_good:
            del self.processes[old.name]
            return
        away = away if away is not None else 0.7 + self.world.random.random()
        self.world.after(away, partial(self._start_again, process))

    def end(self, process: Simulated) -> None:
        """A process ends by itself: its work is done."""
        del self.processes[process.process.name]
        self._bury(process)
        self.staff.look_again()

    def _start_again(self, process: Simulated) -> None:
        old = process.process
        if self.processes.get(old.name) is process:
            self.start_process(old.name, old.service, old.node, code=old.code)

    def _bury(self, process: Simulated) -> None:
        process.alive = False
        old = process.process
        for controller in self.controllers:
            heard = 0.02 + self.world.random.random() * 0.5 * self.world.stormy
            self.world.after(heard, partial(self._tell_gone, controller, old))

    def _is_counted_on(self, process: Simulated) -> bool:
        """Whether a controller has a place for it."""
        name, service = process.process.name, process.process.service
        placed = [one for each in self.controllers for one in each.rollout.targets.placed(service, self.world.now)]
        return any(one.process.name == name for one in placed)

    def start_controller(self) -> Controller:
        """Start one beside those there are."""
        self._authors += 1
        controller = Controller(self, f"controller-{self._authors}")
        self.world.note(controller.rollout.author, "starts")
        self.controllers.append(controller)
        controller.start()
        return controller

    def kill_controller(self, controller: Controller) -> None:
        """Kill one. The last one gets a successor."""
        if not controller.alive:
            return
        self.world.note(controller.rollout.author, "dies")
        controller.alive = False
        self.controllers.remove(controller)
        if not self.controllers:
            self.world.after(self.world.random.random() * 2, self._succeed)

    def write(self, entry: Pointer, author: Controller) -> None:
        """An order to move the pointer has reached the store."""
        before = self.world.head
        if self.world.write(entry):
            self.world.note("ENTRY", entry)
            self.checks.entry(entry, before)
            if self.jinx is not None:
                self.world.after(self.world.random.random() * 1.5, self.jinx)
            for controller in self.controllers:
                # Whoever does not learn of it at once reads the log now and then.
                self.world.after(self.world.random.random() * 1.2, controller.read)
        head = self.world.head
        self.world.send(partial(author.told_entry, head), author.read)

    def tell(self, process: Simulated) -> None:
        """Send a report to every controller."""
        for controller in self.controllers:
            self.tell_one(process, controller)
        self.checks.coverage()

    def tell_one(self, process: Simulated, controller: Controller) -> None:
        """Send a report to one. What is lost is said again when the connection is there again."""
        if process.alive and controller.alive:
            arrive = partial(controller.told_report, process.report())
            self.world.send(arrive, partial(self.tell_one, process, controller))

    def request(self, gateway: SimulatedGateway) -> None:
        """A request comes to a gateway; it is pinned to a release and calls services for a while."""
        release = gateway.begin()
        if release is not None:
            self._go_on(gateway, release, self.world.random.randrange(1, 4))

    def _go_on(self, gateway: SimulatedGateway, release: str, calls: int) -> None:
        if not gateway.alive:
            return  # its clients see a connection that broke
        self.checks.gateway_has(gateway, release)
        for service, sizes in self.releases[release].shape.services.items():
            self.checks.can_answer((release, service, self.world.random.randrange(len(sizes) or 1)))
        if calls:
            self.world.after(self.world.random.random() * 1.5, partial(self._go_on, gateway, release, calls - 1))
        else:
            gateway.end(release)
            self.staff.look_again()

    def _tell_started(self, controller: Controller, process: Process) -> None:
        if controller.alive:
            controller.carry_out(controller.rollout.started(process, self.world.now))

    def _tell_gone(self, controller: Controller, process: Process) -> None:
        if controller.alive:
            controller.carry_out(controller.rollout.gone(process.name, process.incarnation, self.world.now))

    def _succeed(self) -> None:
        if not self.controllers:
            self.start_controller()


def _worded(effect: Effect) -> str:
    match effect:
        case Prepare() | Retire() | Route() | Rest():
            shards = "" if isinstance(effect, Route | Rest) else f" {sorted(effect.shards)}"
            order = f"{effect.process.name} {type(effect).__name__.lower()} {effect.release}{shards}"
            return f"{order} {tuple(effect.stamp)}"
        case Progress(text=text):
            return text
        case _:
            return str(effect)
