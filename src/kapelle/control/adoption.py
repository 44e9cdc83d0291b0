"""Taking over what a controller that is gone left running: its processes, and the door its gateways share."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from pathlib import Path

import structlog

from kapelle.config.settings import Settings
from kapelle.control.exits import birth, kill, wait_for_exit
from kapelle.control.recipes import Recipe, slot_of
from kapelle.control.rundir import Record, RunDir
from kapelle.errors import StartError, WireError
from kapelle.transport import sockets
from kapelle.transport.door import borrow_door, claim, is_door_to, open_door
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_ANSWER = 2.0
"""Seconds for a process to say how it is."""

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


def lives(record: Record) -> bool:
    """Whether the process on record runs."""
    return bool(record.pid) and birth(record.pid) == record.born


def assign(records: list[Record], recipes: list[Recipe]) -> tuple[dict[str, Record], list[Record]]:
    """Who takes which place of the plan, and who has none; of two for one place the one that serves, then the younger."""
    slots = {(one.role, one.slot) for one in recipes}
    places: dict[str, Record] = {}
    left_over: list[Record] = []
    for record in sorted(records, key=lambda one: (one.ready, one.started), reverse=True):
        if (record.role, record.slot) in slots and record.slot not in places:
            places[record.slot] = record
        else:
            left_over.append(record)
    return places, left_over


async def get_door(run: RunDir, settings: Settings, gateways: list[Record], patience: float) -> socket.socket:
    """The door of the gateways that run, if it is at the address of the settings, else a new one.

    A gateway that gives no answer for ``patience`` seconds is taken for hung, and ended when it holds the address.

    Raises:
        StartError: the address cannot be had.
    """
    host, port = settings.host, settings.port
    paths = run.doors()
    borrowed = dict(zip(paths, await asyncio.gather(*(borrow_door(path, patience) for path in paths)), strict=True))
    silent = [one for one in gateways if borrowed.get(run.door(one.name)) is None]
    try:
        found = _choose([door for door in borrowed.values() if door is not None], host, port)
        return found or open_door(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not silent:
            raise _cannot_listen(settings, error) from None
    for gateway in silent:
        log.warning("a gateway does not answer and is ended", process=gateway.name)
        kill(gateway.pid, gateway.born)
        await wait_for_exit(gateway.pid, gateway.born, None)
    try:
        return open_door(host, port)
    except OSError as error:
        raise _cannot_listen(settings, error) from None


def claim_side_door(door: socket.socket, settings: Settings, *, gateways: bool) -> socket.socket | None:
    """Keep the port of gRPC free for the gateways; None where there is none, or it is taken: then those say so.

    ``gateways`` is whether some run already, which share it.

    Raises:
        StartError: those of another system share it with whoever comes; clients would reach the one or the other.
    """
    if settings.grpc_port < 0:
        return None
    port = settings.grpc_port or door.getsockname()[1] + 1
    with suppress(OSError):
        is_shared = not gateways and not _is_free(settings.host, port)
        claimed = claim(settings.host, port)
        if is_shared:
            claimed.close()
            raise StartError(
                f"gRPC cannot have port {port}: another system of yours serves there, and clients would reach the one or "
                "the other; choose another with KAPELLE_GRPC_PORT, or -1 for none"
            )
        return claimed
    return None


def _is_free(host: str, port: int) -> bool:
    try:
        claim(host, port, alone=True).close()
    except OSError:
        return False
    return True


def _choose(doors: list[socket.socket], host: str, port: int) -> socket.socket | None:
    found = [door for door in doors if is_door_to(door, host, port)][:1]
    for door in doors:
        if door not in found:
            door.close()
    return found[0] if found else None


def _cannot_listen(settings: Settings, error: OSError) -> StartError:
    match error.errno:
        case errno.EADDRINUSE:
            advice = "another program holds the port: choose another with --port"
        case errno.EACCES:
            advice = "this user may not take the port, as those below 1024: choose another with --port"
        case _:
            advice = "choose an address of this machine with --host, such as 127.0.0.1, or 0.0.0.0 for every network"
    return StartError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; {advice}")


async def find_strangers(run: RunDir, known: list[Record], drain_timeout: float) -> list[Record]:
    """Processes that run and are on no record: the controller was killed, or the disk full, before they were written down.

    Nobody knows by which recipe they were started, so they will be replaced. One that does not answer has not begun to
    work, and is asked to end.
    """
    controls = {one.control for one in known}
    found = await asyncio.gather(
        *(_meet(run, address, drain_timeout) for address in run.controls() if address not in controls)
    )
    return [one for one in found if one is not None]


async def _meet(run: RunDir, address: str, drain_timeout: float) -> Record | None:
    answer: asyncio.Future[messages.Health] = asyncio.get_running_loop().create_future()

    def on_frames(frames: list[Frame]) -> None:
        for frame in frames:
            with suppress(WireError):
                message = _decode(frame.head)
                if isinstance(message, messages.Health) and not answer.done():
                    answer.set_result(message)

    try:
        connection = await sockets.connect(sockets.Address.parse(address))
    except OSError:
        return None  # nobody is there any more
    connection.start(on_frames, lambda _: None)
    try:
        async with asyncio.timeout(_ANSWER):
            health = await answer
    except TimeoutError:
        connection.send(messages.encode(messages.Drain(drain_timeout)), bulk=True)
        return None
    finally:
        connection.close()
    name = Path(address).stem
    data = run.data(name)
    return Record(
        name=name, slot=slot_of(name), role="gateway" if run.door(name).exists() else "replica", service="",
        release="", shards=[],
        pid=health.pid, born=birth(health.pid), data=data if Path(data.removeprefix("unix:")).exists() else "",  # noqa: ASYNC240 - a look at a local file takes microseconds
        control=address, ready=health.state == "ready",
    )  # fmt: skip
