"""The controller of one machine: brings up the plan, keeps it up, tells gateways who is there, and takes it down in order."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from kapelle.clock import monotonic, wall
from kapelle.config import orders
from kapelle.control import status
from kapelle.control.exits import birth
from kapelle.control.plan import Plan, ReplicaPlan, thread_environment
from kapelle.control.process import Command, Identity, Process
from kapelle.control.rundir import RunDir, System
from kapelle.core.life import Phase, Terms
from kapelle.errors import StartError
from kapelle.observe.metrics import Registry
from kapelle.observe.process import register_process_metrics
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.door import obtain_door, open_door
from kapelle.transport.supervision import pack_families
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

PROBE_EVERY = 1.0
"""Seconds between two looks at a process."""

_decode = messages.Decoder[messages.ToController](messages.ToController)


class Controller:
    """Supervises the processes of a plan. ``on_progress`` gets a line for people at each step of the start."""

    def __init__(self, plan: Plan, run: RunDir, on_progress: Callable[[str], None]) -> None:
        self.plan = plan
        self.run = run
        self.processes: dict[str, Process] = {}
        self.ready = asyncio.Event()
        self.failed = asyncio.Event()
        self._on_progress = on_progress
        self._door: socket.socket | None = None
        self._port = plan.settings.port
        self._version = 0
        self._changed = False
        self._seen_ready: set[str] = set()
        self._ending = False
        self._began = monotonic()
        self._listener: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._generation = 0
        self._registry = Registry(role="controller")
        register_process_metrics(self._registry)
        self._environment = thread_environment(len(plan.replicas))

    @property
    def url(self) -> str:
        """Where clients find the system."""
        scheme = "https" if self.plan.settings.tls_certificate else "http"
        host = self.plan.settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound
        return f"{scheme}://{shown}:{self._port}"

    async def start(self) -> None:
        """Start or adopt every process of the plan; ``ready`` is set once all of them serve.

        Raises:
            StartError: the port is taken, or another controller runs here.
        """
        self.run.acquire()
        control = sockets.bind(sockets.Address.parse(self.run.controller))
        self._listener = await sockets.serve(control, self._accept)
        records = {one.name: one for one in self.run.records() if one.pid and birth(one.pid) == one.born}
        adopted_gateway = next((one for one in records.values() if one.role == "gateway"), None)
        self._door = await self._get_door(adopted_gateway.control if adopted_gateway else None)
        self._port = self._door.getsockname()[1]
        self.run.record_system(System(target=self.plan.target, url=self.url))
        for replica in self.plan.replicas:
            self._add(self._replica(replica, replica.name))
        for name in self.plan.gateways:
            self._add(self._gateway(name))
        for process in list(self.processes.values()):
            record = records.pop(process.identity.name, None)
            if record is None:
                process.start()
            else:
                self._on_progress(f"adopting {record.name}, which runs as process {record.pid}")
                process.adopt(record.pid, record.born)
        for left_over in records.values():
            self._retire(left_over.name, left_over.role, left_over.service, left_over.control, left_over.pid, left_over.born)
        self._ticker = asyncio.get_running_loop().call_later(PROBE_EVERY, self._probe)

    async def ready_or_failed(self) -> None:
        """Return when everything serves, or a process keeps crashing before it ever did."""
        waits = [asyncio.create_task(event.wait()) for event in (self.ready, self.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    async def stop(self) -> bool:
        """Drain gateways, then replicas; False when something had to be killed."""
        self._ending = True
        clean = True
        for role in ("gateway", "replica"):
            group = [process for process in self.processes.values() if process.identity.role == role]
            for process in group:
                process.drain()
            # Each life kills its process when the drain takes too long, so this ends.
            await asyncio.gather(*(process.ended.wait() for process in group))
            clean = clean and all(process.life.reason == "" or process.life.crashes for process in group)
        await self._close()
        self.run.remove()
        return clean

    def kill_all(self) -> None:
        """End everything at once."""
        for process in self.processes.values():
            process.kill()

    async def abandon(self) -> None:
        """Stop supervising and leave everything running, as if the controller had died."""
        await self._close()

    def system_status(self) -> status.SystemStatus:
        """What runs."""
        now = monotonic()
        return status.SystemStatus(
            target=self.plan.target,
            url=self.url,
            controller=os.getpid(),
            processes=[_process_status(process, now) for process in self.processes.values()],
        )

    async def _close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        for process in self.processes.values():
            await process.close()
        if self._listener is not None:
            self._listener.close()
        if self._door is not None:
            self._door.close()

    async def _get_door(self, gateway: str | None) -> socket.socket:
        settings = self.plan.settings
        if gateway is not None:
            door = obtain_door(_door_path(gateway))
            if door is not None:
                return door
        try:
            return open_door(settings.host, settings.port)
        except OSError as error:
            raise StartError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
                "another program may hold the port: choose another with --port"
            ) from None

    def _add(self, process: Process) -> None:
        self.processes[process.identity.name] = process
        name = process.identity.name
        self._registry.gauge(
            "kapelle_process_restarts", "Restarts of a process since the controller started.",
            lambda: process.life.restarts, process=name,
        )  # fmt: skip

    def _replica(self, plan: ReplicaPlan, name: str) -> Process:
        settings = self.plan.settings
        data = f"tcp:127.0.0.1:{_free_port()}" if settings.transport == "tcp" else self.run.socket(f"{name}.data")
        identity = Identity(
            name, "replica", plan.service.name, sorted(plan.folders), data, self.run.socket(f"{name}.control")
        )

        def make_orders(data: int, control: int) -> bytes:
            return orders.encode(
                orders.WorkerOrders(
                    target=self.plan.target, service=plan.service.name, replica=name, shards=plan.folders,
                    data=data, control=control, settings=settings,
                )  # fmt: skip
            )

        command = Command("kapelle.worker.main", make_orders, self._environment)
        return self._process(identity, command, plan.service.memory_limit, None)

    def _gateway(self, name: str) -> Process:
        identity = Identity(name, "gateway", "", [], "", self.run.socket(f"{name}.control"))
        artifact = self.plan.artifacts

        def make_orders(door: int, control: int) -> bytes:
            return orders.encode(
                orders.GatewayOrders(
                    target=self.plan.target, name=name, artifact=str(artifact), shard_counts=self.plan.shard_counts,
                    http=door, control=control, door=_door_path(identity.control), controller=self.run.controller,
                    settings=self.plan.settings,
                )  # fmt: skip
            )

        return self._process(identity, Command("kapelle.gateway.main", make_orders, {}), None, self._door_number)

    def _process(
        self, identity: Identity, command: Command, memory_limit: int | None, door: Callable[[], int] | None
    ) -> Process:
        settings = self.plan.settings
        terms = Terms(
            start_timeout=settings.start_timeout, drain_timeout=settings.drain_timeout + 5.0, memory_limit=memory_limit
        )
        return Process(
            identity, command, terms, door=door, on_change=self._change, on_replace=self._replace,
            on_end=self._ended, drain_timeout=settings.drain_timeout,
        )  # fmt: skip

    def _door_number(self) -> int:
        assert self._door is not None
        return self._door.fileno()

    def _replace(self, old: Process) -> None:
        """Start a successor of a replica that grew too large; the old one is drained once the new one serves."""
        self._generation += 1
        slot = old.identity.name.partition("~")[0]
        plan = next(plan for plan in self.plan.replicas if plan.name == slot)
        successor = self._replica(plan, f"{slot}~{self._generation}")
        successor.successor_of = old
        self._add(successor)
        successor.start()

    def _retire(self, name: str, role: str, service: str, control: str, pid: int, born: str) -> None:
        """A process of the last plan that this one has no place for."""
        identity = Identity(name, role, service, [], "", control)
        process = self._process(identity, Command("", lambda _, __: b"", {}), None, None)
        self._add(process)
        process.adopt(pid, born)
        process.drain()

    def _ended(self, process: Process) -> None:
        if not self._ending:
            self.processes.pop(process.identity.name, None)
            self._change()

    def _change(self) -> None:
        """Something changed that others must hear of: once per turn of the loop."""
        if not self._changed:
            self._changed = True
            asyncio.get_running_loop().call_soon(self._spread)

    def _spread(self) -> None:
        self._changed = False
        for process in list(self.processes.values()):
            old = process.successor_of
            if old is not None and process.life.usable:
                process.successor_of = None
                old.drain()
        members = [process.member for process in self.processes.values()]
        # Numbers grow across controllers too, so that a gateway never takes an old one's word over a new one's.
        self._version = max(self._version + 1, int(wall() * 1000))
        announcement = messages.Members(self._version, members)
        for process in self.processes.values():
            if process.identity.role == "gateway":
                process.send(announcement)
        self.run.record([process.record for process in self.processes.values() if process.pid])
        self._note_progress()

    def _note_progress(self) -> None:
        if self.ready.is_set():
            return
        for name, process in self.processes.items():
            if process.life.usable and name not in self._seen_ready:
                self._seen_ready.add(name)
                took = monotonic() - process.started
                self._on_progress(f"{name} is ready after {took:.1f} s ({len(self._seen_ready)} of {len(self.processes)})")
            if process.life.crash_looping:
                self.failed.set()
        if all(process.life.usable for process in self.processes.values()):
            self.ready.set()

    def _probe(self) -> None:
        for process in list(self.processes.values()):
            process.probe()
        self._ticker = asyncio.get_running_loop().call_later(PROBE_EVERY, self._probe)

    def _accept(self, connection: Connection) -> None:
        def on_frames(frames: list[Frame]) -> None:
            for frame in frames:
                message = _decode(frame.head)
                if isinstance(message, messages.StatusQuery):
                    answer: messages.FromController = messages.StatusAnswer(status.encode(self.system_status()))
                elif isinstance(message, messages.Scrape):
                    answer = messages.Scraped(message.number, pack_families(self._registry.collect()))
                else:
                    answer = messages.Health(message.number, "ready", "", 0, 0, os.getpid())
                connection.send(messages.encode(answer))

        connection.start(on_frames, lambda _: None)


def _process_status(process: Process, now: float) -> status.ProcessStatus:
    health = process.health
    return status.ProcessStatus(
        name=process.identity.name,
        role=process.identity.role,
        service=process.identity.service,
        shards=process.identity.shards,
        pid=process.pid,
        phase=process.life.phase.value,
        restarts=process.life.restarts,
        last_end=process.life.reason,
        uptime=now - process.started if process.pid and process.life.phase is not Phase.WAITING else 0.0,
        memory=process.resident,
        in_flight=health.in_flight if health else 0,
        queued=health.queued if health else 0,
    )


def _door_path(control: str) -> str:
    return str(Path(control.removeprefix("unix:")).with_suffix(".door"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
