"""``kapelle status``."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from kapelle.cli.project import running_project
from kapelle.control import status
from kapelle.control.exits import birth
from kapelle.control.rundir import Record, RunDir
from kapelle.observe.process import resident_bytes
from kapelle.transport import sockets
from kapelle.wire import messages
from kapelle.wire.frames import Frame

_TIMEOUT = 2.0

_decode_controller = messages.Decoder[messages.FromController](messages.FromController)
_decode_process = messages.Decoder[messages.FromProcess](messages.FromProcess)


def run_status(target: str | None, run_dir: str | None, *, as_json: bool) -> int:
    """Print what runs; 0 when all of it serves, 1 when some does not, 3 when nothing runs."""
    project = running_project(target, run_dir)
    name = project.target.text
    found = asyncio.run(find_status(project.run, name))
    if found is None:
        print(f"nothing runs for {name}; start it with: kapelle serve {name}", file=sys.stderr)
        return 3
    if as_json:
        print(status.encode(found).decode())
    else:
        _show(found)
    return 0 if all(one.phase == "serving" for one in found.processes) else 1


async def find_status(run: RunDir, target: str) -> status.SystemStatus | None:
    """Ask the controller; without one, ask the processes it left on record."""
    try:
        reply = await _ask(run.controller, messages.StatusQuery())
        message = _decode_controller(reply)
        if isinstance(message, messages.StatusAnswer):
            return status.decode(message.status)
    except (OSError, TimeoutError):
        pass
    records = [one for one in run.records() if birth(one.pid) == one.born]
    if not records:
        return None
    processes = await asyncio.gather(*map(_ask_process, records))
    return status.SystemStatus(target=target, url="", controller=0, processes=list(processes))


async def _ask_process(record: Record) -> status.ProcessStatus:
    state, in_flight, queued = "silent", 0, 0
    try:
        message = _decode_process(await _ask(record.control, messages.Probe(1)))
        if isinstance(message, messages.Health):
            state = "serving" if message.state == "ready" else message.state
            in_flight, queued = message.in_flight, message.queued
    except (OSError, TimeoutError):
        pass
    return status.ProcessStatus(
        name=record.name, role=record.role, service=record.service, shards=record.shards, pid=record.pid, phase=state,
        restarts=0, last_end="", uptime=0.0, memory=resident_bytes(record.pid) or 0, in_flight=in_flight, queued=queued,
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


def _show(found: status.SystemStatus) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("process", "state", "shards"):
        table.add_column(title)
    for title in ("in flight", "queued", "restarts", "memory", "up", "pid"):
        table.add_column(title, justify="right")
    for one in found.processes:
        colour = {"serving": "green", "starting": "yellow", "draining": "yellow"}.get(one.phase, "red")
        table.add_row(
            one.name, f"[{colour}]{one.phase}[/]", _ranges(one.shards),
            str(one.in_flight), str(one.queued), str(one.restarts), f"{one.memory / 2**20:.0f} MiB",
            _ago(one.uptime), str(one.pid or ""),
        )  # fmt: skip
    if found.controller:
        console.print(f"[bold]{found.target}[/] at {found.url}, controller {found.controller}")
    else:
        console.print(f"[bold]{found.target}[/]: [red]no controller[/]; the system serves on, `kapelle serve` takes it over")
    console.print(table)
    for one in found.processes:
        if one.last_end:
            console.print(f"{one.name}: last end: {one.last_end}", style="dim")


def _ranges(numbers: list[int]) -> str:
    return ",".join(map(str, numbers)) if len(numbers) <= 8 else f"{len(numbers)} shards"


def _ago(seconds: float) -> str:
    if not seconds:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
