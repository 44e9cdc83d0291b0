"""``kapelle status``."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from kapelle.cli.project import NothingRuns, Running, find_running
from kapelle.clock import wall
from kapelle.config.orders import LOCAL
from kapelle.control import status
from kapelle.control.rundir import Record
from kapelle.observe.process import resident_bytes
from kapelle.transport import sockets
from kapelle.wire import messages, wishes
from kapelle.wire.frames import Frame

NOT_SERVING = 1
NOTHING_RUNS = 3
_TIMEOUT = 2.0
_COLOURS = {"serving": "green", "starting": "yellow", "draining": "yellow"}
_QUIET = ("serving", "ready")
_MANY = 8
_ROOMY = 100

_decode_controller = messages.Decoder[wishes.FromController](wishes.FromController)
_decode_process = messages.Decoder[messages.FromProcess](messages.FromProcess)


def run_status(target: str | None, run_dir: str | None, *, as_json: bool) -> int:
    """Print what runs; 0 when all of it serves, 1 when some does not, 3 when nothing runs."""
    try:
        running = find_running(target, run_dir)
    except NothingRuns as nothing:
        print(f"kapelle: {nothing.detail}", file=sys.stderr)
        return NOTHING_RUNS
    found = asyncio.run(find_status(running))
    if as_json:
        print(status.encode(found).decode())
    else:
        # A pipe has no width: nothing is folded there.
        show(found, Console(highlight=False, width=None if sys.stdout.isatty() else 200))
    return 0 if all(one.phase == "serving" for one in found.processes) else NOT_SERVING


async def find_status(running: Running) -> status.SystemStatus:
    """Ask the controller; without one, ask the processes it left on record."""
    try:
        message = _decode_controller(await _ask(running.run.controller, wishes.StatusQuery()))
        if isinstance(message, wishes.StatusAnswer):
            return status.decode(message.status)
    except (OSError, TimeoutError):
        pass  # the controller is gone or hung; its processes can speak for themselves
    processes = await asyncio.gather(*map(_ask_process, running.records))
    system = running.run.system()
    url = system.url if system is not None else ""
    return status.SystemStatus(target=running.target, url=url, controller=0, processes=list(processes))


async def _ask_process(record: Record) -> status.ProcessStatus:
    state, in_flight, queued = "silent", 0, 0
    try:
        message = _decode_process(await _ask(record.control, messages.Probe(1)))
        if isinstance(message, messages.Health):
            state = "serving" if message.state == "ready" else message.state
            in_flight, queued = message.in_flight, message.queued
    except (OSError, TimeoutError):
        pass  # that it does not answer is what is shown: "silent"
    return status.ProcessStatus(
        name=record.name, role=record.role, service=record.service, release=record.release,
        shards=record.shards, pid=record.pid, phase=state,
        restarts=record.restarts, last_end=record.last_end, uptime=wall() - record.started,
        memory=resident_bytes(record.pid) or 0, in_flight=in_flight, queued=queued,
    )  # fmt: skip


async def _ask(address: str, question: messages.Message) -> bytes:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_frames(frames: list[Frame]) -> None:
        if not answer.done():
            answer.set_result(frames[-1].head)

    def on_lost(reason: str) -> None:
        if not answer.done():
            answer.set_exception(ConnectionError(reason))

    connection = await sockets.connect(sockets.Address.parse(address))
    try:
        connection.start(on_frames, on_lost)
        connection.send(messages.encode(question))
        async with asyncio.timeout(_TIMEOUT):
            return await answer
    finally:
        connection.abort()


def show(found: status.SystemStatus, console: Console) -> None:
    """Print what runs, as a table between two lines that say it in short."""
    supervised = f"controller {found.controller}" if found.controller else "[red]no controller[/]"
    console.print(f"[bold]{found.target}[/] at {found.url}, {supervised}")
    table = Table(box=None, padding=(0, 1 if console.width < _ROOMY else 2, 0, 0), pad_edge=False, header_style="dim")
    several = any(one.releases.keys() - {LOCAL} for one in found.processes)
    nodes = any(one.node for one in found.processes)
    for title in ("process", *(["node"] if nodes else []), "state", *(["releases"] if several else []), "shards"):
        table.add_column(title, overflow="fold")
    for title in ("in flight", "waiting", "restarts", "memory", "up", "pid"):
        table.add_column(title, justify="right")
    # A service without shards says that it holds shard 0.
    sharded = {one.service for one in found.processes if any(one.shards)}
    for one in sorted(found.processes, key=lambda one: one.role):
        colour = _COLOURS.get(one.phase, "red")
        shards = _numbers(one.shards) if one.service in sharded else ""
        held = [_releases(one)] if several else []
        place = [one.node] if nodes else []
        table.add_row(
            one.name, *place, f"[{colour}]{one.phase}[/]", *held, shards, str(one.in_flight), str(one.queued),
            str(one.restarts), f"{one.memory / 2**20:.0f} MiB", _ago(one.uptime), str(one.pid or ""),
        )  # fmt: skip
    console.print(table)
    for one in found.processes:
        if one.last_end:
            console.print(f"{one.name}: {one.last_end}", style="dim")
    codes = sorted({one.code for one in found.processes} - {""})
    if len(codes) > 1:
        console.print(
            f"[yellow]code {' and '.join(codes)} run side by side: an update is under way, or stopped half-way[/]"
        )
    serving = sum(one.phase == "serving" for one in found.processes)
    console.print(f"{serving} of {len(found.processes)} processes serve")
    if not found.controller:
        console.print(f"nobody restarts what ends; take it over with `kapelle serve {found.target}`")


def _releases(one: status.ProcessStatus) -> str:
    """Those that it has, the one that it serves first, and the state of each that is not simply there."""
    names = sorted(one.releases, key=lambda name: (name != one.release, name))
    return ", ".join(name if one.releases[name] in _QUIET else f"{name} {one.releases[name]}" for name in names)


def _numbers(numbers: list[int]) -> str:
    return ",".join(map(str, numbers)) if len(numbers) <= _MANY else f"{len(numbers)} shards"


def _ago(seconds: float) -> str:
    if not seconds:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
