"""The controller of one machine: brings up the plan, keeps it up, tells gateways who is there, and takes it down in order."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from kapelle.clock import steady
from kapelle.config.orders import Holding
from kapelle.control import status
from kapelle.control.adoption import assign, claim_side_door, find_strangers, get_door, lives
from kapelle.control.conductor import Beginning, Conductor
from kapelle.control.desk import Desk
from kapelle.control.handover import Handover
from kapelle.control.plan import Plan, make_plan
from kapelle.control.process import AsPlanned, Process, Surroundings
from kapelle.control.recipes import Recipe, recipes, successor_name
from kapelle.control.rundir import Record, RunDir, System
from kapelle.control.versions import Version
from kapelle.core.life import Phase, Terms
from kapelle.core.rollout_messages import Shape
from kapelle.errors import StartError
from kapelle.observe.process import process_registry
from kapelle.transport.sockets import Address
from kapelle.wire import messages

log = structlog.get_logger()

_PROBE_EVERY = 1.0
"""Seconds between two looks at a process; fewer where it counts as hung so soon that a late answer would look like it."""
_TRIES = 3
"""Crashes in a row that make a crash loop: a start that fails so often has failed."""
_GRACE = 5.0
"""Seconds a process gets on top of its own time for draining, until it is ended."""


class Controller:
    """Supervises the processes of a plan; ``conductor`` changes the release they serve, where there is a store.

    ``on_progress`` gets a line for people at each step of the start. ``beside`` are plans for other code than that of
    ``plan``, which count where processes of it run.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunDir,
        on_progress: Callable[[str], None],
        conductor: Conductor | None = None,
        beside: Sequence[Plan] = (),
    ) -> None:
        self.plan = plan
        self.run = run
        self.processes: dict[str, Process] = {}
        self.ready = False
        self.conductor = conductor
        self._on_progress = on_progress
        self._recipes = [recipe for one in (plan, *beside) for recipe in recipes(one, run)]
        self._codes = {one.code for one in (plan, *beside)}
        """The code that there are plans for; processes of other code are leaving."""
        self._handover = Handover()
        self._door: socket.socket | None = None
        self._claim: socket.socket | None = None
        self._port = plan.settings.port
        self._version = 0
        self._news: asyncio.Future[None] | None = None
        self._spreading: asyncio.Handle | None = None
        self._seen_ready: set[str] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._probes = 0
        self._probe_every = min(_PROBE_EVERY, plan.settings.hang_timeout / 4)
        self._unwritten = False
        self._registry = registry = process_registry(role="controller")
        self._metered: set[str] = set()
        self._meter(self._recipes)
        self._desk = Desk(self.system_status, registry, conductor)
        settings = plan.settings
        self._around = Surroundings(
            data=lambda name: (
                Address("tcp", "127.0.0.1") if settings.transport == "tcp" else Address.parse(run.data(name))
            ),
            control=lambda name: Address.parse(run.control(name)),
            door=self._door_number,
            on_change=self._change,
            on_acquainted=self._look_at_handovers,
            holdings=conductor or AsPlanned(),
            on_replace=self._replace,
            on_end=self._ended,
            drain_timeout=settings.drain_timeout,
        )

    @property
    def url(self) -> str:
        """Where clients find the system."""
        scheme = "https" if self.plan.settings.tls_certificate else "http"
        host = self.plan.settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound
        return f"{scheme}://{shown}:{self._port}"

    @property
    def failure(self) -> str:
        """What keeps the system from getting ready; "" while nothing does."""
        looping = [one for one in self.processes.values() if one.life.crash_looping]
        return "" if self.ready else "; ".join(f"{one.name}: {one.life.reason}" for one in looping)

    async def start(self) -> None:
        """Start or adopt every process of the plan.

        Raises:
            StartError: the port is taken, or another controller runs here.
        """
        try:
            self.run.acquire()
        except OSError as error:
            raise self._unusable(error) from None
        records = [one for one in self.run.records() if lives(one)]
        try:
            await self._desk.open(self.run.controller)
            records += await find_strangers(self.run, records, self.plan.settings.drain_timeout)
            await self._open(records)
        except (OSError, StartError) as error:
            self._desk.close()
            if records:
                self.run.release()
            else:
                self.run.remove()
            raise error if isinstance(error, StartError) else self._unusable(error) from None
        self._populate([one for one in records if lives(one)])
        self._ticker = asyncio.get_running_loop().call_later(self._probe_every, self._probe)
        if self.conductor is not None:
            self.conductor.on_change = self._change
            self.conductor.on_news = self._tell_news
            self.conductor.on_codes = self._keep_up
            self.conductor.open()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; it is looked at whenever something has changed."""
        while not condition():
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)

    async def ready_or_failed(self) -> bool:
        """Whether everything serves; False when a process keeps crashing before it ever did."""
        await self.until(lambda: self.ready or self.failure != "")
        return self.ready

    async def stop(self) -> list[str]:
        """Drain gateways, then replicas, and leave nothing behind. What did not end well, and why."""
        outcomes: list[str] = []
        if self.conductor is not None:
            self.conductor.close()
        if self._door is not None:
            # The gateways still hold it, and close it when they have let in all that came.
            self._door.close()
        if self._claim is not None:
            self._claim.close()
        for role in ("gateway", "replica"):
            group = [process for process in self.processes.values() if process.recipe.role == role]
            for process in group:
                process.drain()
            # Each life kills its process when the drain takes too long, so this ends.
            await asyncio.gather(*(process.ended.wait() for process in group))
            outcomes += [f"{process.name}: {process.outcome}" for process in group if process.outcome]
        self._close()
        self.run.remove()
        return outcomes

    def kill_all(self) -> None:
        """End everything at once."""
        for process in self.processes.values():
            process.kill()

    def system_status(self) -> status.SystemStatus:
        """What runs."""
        return status.SystemStatus(
            target=self.plan.named,
            url=self.url,
            controller=os.getpid(),
            processes=[process.status for process in self.processes.values()],
        )

    def _unusable(self, error: OSError) -> StartError:
        return StartError(f"{self.run.path} cannot be used: {error}; choose another folder with --run-dir")

    async def _open(self, records: list[Record]) -> None:
        """The door, and the word of it on disk."""
        settings = self.plan.settings
        gateways = [one for one in records if one.role == "gateway"]
        self._door = await get_door(self.run, settings, gateways, self._terms(None).hang_after)
        self._port = self._door.getsockname()[1]
        self._claim = claim_side_door(self._door, settings, gateways=bool(gateways))
        self.run.record_system(System(target=self.plan.named, url=self.url))

    def _populate(self, records: list[Record]) -> None:
        self._codes &= {self.plan.code, *(record.code for record in records)}
        self._recipes = [recipe for recipe in self._recipes if recipe.code in self._codes]
        places, left_over = assign(records, self._recipes)
        new = [self._add(recipe, recipe.slot) for recipe in self._recipes if recipe.slot not in places]
        kept = [(recipe, self._adopt(recipe, places[recipe.slot])) for recipe in self._recipes if recipe.slot in places]
        outdated = [process for recipe, process in kept if not recipe.fits(places[recipe.slot])]
        leaving = [self._adopt(_last_recipe(record), record) for record in left_over]
        for process in new:
            process.start()
        for process in outdated:
            process.life.reason = "it was started from another version of the app or of the settings"
            self._replace(process)
        # Those that have no place any more serve until all others do; those of other code until the conductor says so.
        staying = [process for process in self.processes.values() if process not in (*outdated, *leaving)]
        for process in leaving:
            if self.conductor is None or process.recipe.code in self._codes:
                self._handover.plan(process, staying)

    def _adopt(self, recipe: Recipe, record: Record) -> Process:
        self._on_progress(f"adopting {record.name}, which runs as process {record.pid}")
        process = self._add(recipe, record.name)
        process.adopt(record)
        if record.ready:
            self._seen_ready.add(recipe.slot)
        return process

    def _add(self, recipe: Recipe, name: str) -> Process:
        process = Process(name, recipe, self._terms(recipe.memory_limit), self._around)
        self.processes[name] = process
        return process

    def _terms(self, memory_limit: int | None) -> Terms:
        settings = self.plan.settings
        return Terms(
            start_timeout=settings.start_timeout,
            hang_after=settings.hang_timeout,
            drain_timeout=settings.drain_timeout + _GRACE,
            crash_loop=_TRIES,
            memory_limit=memory_limit,
        )

    def _door_number(self) -> int:
        assert self._door is not None, "start() opens it"
        return self._door.fileno()

    def _replace(self, old: Process) -> None:
        """Start a successor; the old one is drained once the new one serves."""
        log.warning("replacing a process", process=old.name, reason=old.life.reason)
        # One that an earlier controller had begun to start may have the next name.
        name = self._free_name(successor_name(old.name))
        successor = self._add(old.recipe, name)
        self._handover.plan(old, [successor])
        successor.life.restarts, successor.life.reason = old.life.restarts + 1, old.life.reason
        successor.start()

    def _keep_up(self, needed: set[str], begin: Mapping[str, Beginning]) -> None:
        """See that there are processes of all code that is ``needed``, and that all others leave."""
        for code in begin.keys() - self._codes:
            self._begin(code, *begin[code])
        for code in (self._codes | {process.recipe.code for process in self.processes.values()}) - needed:
            self._codes.discard(code)
            self._recipes = [recipe for recipe in self._recipes if recipe.code != code]
            self._let_go(code)

    def _begin(self, code: str, version: Version, shape: Shape) -> None:
        log.info("starting processes of other code", code=code, release=shape.release)
        self._codes.add(code)
        before = [process for process in self.processes.values() if process.recipe.code == code]
        settings, stock = self.plan.settings, self.plan.stock
        made = make_plan(version.target, version.app, settings, stock, shape, resting=True)
        found = recipes(made, self.run)
        self._recipes += found
        self._meter(found)
        started = [self._add(recipe, self._free_name(recipe.slot)) for recipe in found]
        for process in started:
            process.start()
        for process in before:  # an earlier controller left them in the middle of the same
            self._handover.plan(process, started)

    def _let_go(self, code: str) -> None:
        """End the processes of this code: gateways first, replicas when nobody can call them any more."""
        group = [process for process in self.processes.values() if process.recipe.code == code]
        gateways = [process for process in group if process.recipe.role == "gateway"]
        for process in gateways or group:
            if process.life.phase is not Phase.DRAINING:
                log.info("its code is not needed any more", process=process.name)
                process.drain()

    def _free_name(self, name: str) -> str:
        """A name for the place of this name; others may be leaving it."""
        while name in self.processes:
            name = successor_name(name)
        return name

    def _meter(self, recipes: Sequence[Recipe]) -> None:
        for slot in {recipe.slot for recipe in recipes} - self._metered:
            self._metered.add(slot)
            self._registry.gauge(
                "kapelle_process_restarts", "Restarts of a process since the start of the system.",
                partial(self._restarts, slot), process=slot,
            )  # fmt: skip

    def _ended(self, process: Process) -> None:
        self.processes.pop(process.name, None)
        if process.recipe.code not in self._codes:
            self._let_go(process.recipe.code)
        self._change()

    def _restarts(self, slot: str) -> int:
        return max((one.life.restarts for one in self.processes.values() if one.recipe.slot == slot), default=0)

    def _change(self) -> None:
        """Something changed that others must hear of: once per turn of the loop."""
        if self._spreading is None:
            self._spreading = asyncio.get_running_loop().call_soon(self._spread)

    def _spread(self) -> None:
        self._spreading = None
        self._version += 1
        processes = list(self.processes.values())
        announcement = messages.Members(self._version, [process.member for process in processes])
        for gateway in self._gateways:
            gateway.send(announcement)
        self._look_at_handovers()
        self._write_down([process.record for process in processes if process.pid])
        self._note_progress()
        self._tell_news()

    def _tell_news(self) -> None:
        """Let those look again who wait ``until`` something is so."""
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

    @property
    def _gateways(self) -> list[Process]:
        return [process for process in self.processes.values() if process.recipe.role == "gateway"]

    def _look_at_handovers(self) -> None:
        self._handover.look(self._version, self._gateways)

    def _write_down(self, records: list[Record]) -> None:
        try:
            self.run.record(records)
        except OSError as error:
            # Only a later controller needs it; what runs must not suffer from a full disk.
            if not self._unwritten:
                log.error("what runs cannot be written down", folder=str(self.run.path), reason=str(error))  # noqa: TRY400 - its traceback says nothing to a person
            self._unwritten = True
        else:
            self._unwritten = False

    def _note_progress(self) -> None:
        if self.ready:
            return
        planned = {recipe.slot for recipe in self._recipes}
        usable = {process.recipe.slot: process for process in self.processes.values() if process.life.usable}
        for slot in usable.keys() & planned - self._seen_ready:
            self._seen_ready.add(slot)
            took = steady() - usable[slot].started
            self._on_progress(
                f"{slot} is ready after {took:.1f} s ({len(self._seen_ready & planned)} of {len(planned)})"
            )
        if planned <= usable.keys():
            self.ready = True

    def _probe(self) -> None:
        self._probes += 1
        for process in list(self.processes.values()):
            process.probe(self._probes)
        self._look_at_handovers()
        self._ticker = asyncio.get_running_loop().call_later(self._probe_every, self._probe)

    def _close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._spreading is not None:
            self._spreading.cancel()
        self._desk.close()


def _last_recipe(record: Record) -> Recipe:
    """Of a process that the plan has no place for: it is never started again."""

    def never(*_: object) -> bytes:
        raise AssertionError(f"{record.name} has no place in the plan")

    return Recipe(
        record.slot, record.role, record.service, Holding(record.release, record.shards), "", never, {}, None,
        record.digest, code=record.code,
    )  # fmt: skip
