"""The ways between the stages of a chain: each is opened, sends payloads through all stages, and leaves nothing behind.

In all of them it is this process that calls one stage after the other and passes on what comes back, as the gateway does
for an app: a payload of a chain of three goes between two processes five times.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kapelle.bench import files, framework, server
from kapelle.bench.chain import Chain
from kapelle.bench.client import HttpClient, Request
from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX
from kapelle.bench.fused import inlined
from kapelle.bench.payload import received
from kapelle.bench.stage import LOOPBACK, StageProcess, started
from kapelle.bench.system import quiet, running, temporary_folder, written_app
from kapelle.clock import monotonic
from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.loading import Target
from kapelle.errors import Unavailable
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.handles import attach, inline_handle
from kapelle.gateway.main import reach
from kapelle.ids import random_id, request_ids
from kapelle.observe.metrics import Registry
from kapelle.transport.sharing import Arenas
from kapelle.types.arrays import Array
from kapelle.wire.body import Buffer
from kapelle.wire.messages import Members

_MOST = 30.0
"""Seconds that a request may take."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way that is open. ``pids`` are all processes that work for it, this one included."""

    name: str
    send: Callable[[Array], Awaitable[int]]
    pids: Callable[[], list[int]]

    async def check(self, data: Array) -> None:
        """Send, and see that what arrived at the end is what was sent.

        Raises:
            Unavailable: it is not.
        """
        found, expected = await self.send(data), received(data)
        if found != expected:
            raise Unavailable(f"{self.name} delivered other bytes than were sent: a sum of {found}, not {expected}")


def names() -> list[str]:
    """All that can be measured here."""
    return [*([HTTPX] if framework.installed() else []), HTTP, FILES, TCP, UNIX, SHARED, FUSED]


def ways(stages: int, volume: Path) -> list[AbstractAsyncContextManager[Way]]:
    """All of them, for so many stages; ``volume`` is where the files are written."""
    known = {
        HTTPX: over_framework(stages),
        HTTP: over_http(stages),
        FILES: through_files(stages, volume),
        TCP: by_kapelle(TCP, stages, transport="tcp", shared_memory=0),
        UNIX: by_kapelle(UNIX, stages, transport="unix", shared_memory=0),
        SHARED: by_kapelle(SHARED, stages, transport="unix"),
        FUSED: in_one_process(stages),
    }
    return [known[name] for name in names()]


@asynccontextmanager
async def over_framework(stages: int) -> AsyncIterator[Way]:
    """HTTP/1.1 as most people have it."""
    async with AsyncExitStack() as stack:
        processes = await _start("framework", stages, Path(), stack)
        clients = [await stack.enter_async_context(framework.client(LOOPBACK, int(one.address))) for one in processes]

        async def send(data: Array) -> int:
            body = data.tobytes()
            for client in clients[:-1]:
                body = await framework.ask(client, server.PASS_ON, body)
            return int(await framework.ask(clients[-1], server.FINISH, body))

        yield Way(HTTPX, send, partial(_with_this, processes))


@asynccontextmanager
async def over_http(stages: int) -> AsyncIterator[Way]:
    """HTTP/1.1 over TCP, between processes that do nothing else."""
    async with AsyncExitStack() as stack:
        processes = await _start("http", stages, Path(), stack)
        clients = [stack.enter_context(closing(HttpClient(LOOPBACK, int(one.address)))) for one in processes]

        async def send(data: Array) -> int:
            body: Buffer = data.data
            for client in clients[:-1]:
                body = (await client.send(Request("POST", server.PASS_ON, body))).body
            return int((await clients[-1].send(Request("POST", server.FINISH, body))).body)

        yield Way(HTTP, send, partial(_with_this, processes))


@asynccontextmanager
async def through_files(stages: int, volume: Path) -> AsyncIterator[Way]:
    """Files in a folder that all see, and their paths over a Unix socket."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder(volume))
        processes = await _start("files", stages, folder, stack)
        clients = [stack.enter_context(closing(files.LineClient(one.address))) for one in processes]
        ours = files.Volume(folder)

        async def send(data: Array) -> int:
            path = str(ours.write(data))
            for client in clients[:-1]:
                path = await client.send(files.PASS_ON, path)
            return int(await clients[-1].send(files.FINISH, path))

        yield Way(FILES, send, partial(_with_this, processes))


@asynccontextmanager
async def by_kapelle(name: str, stages: int, **settings: str | int) -> AsyncIterator[Way]:
    """Kapelle's own: a system of real workers, called with the gateway's own machinery."""
    chosen = quiet(Settings(), **settings)
    registry = Registry()
    next_id = request_ids()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        spec, target = _declared(stages, folder)
        controller = await stack.enter_async_context(running(target, spec, chosen, folder))
        arenas = stack.enter_context(closing(Arenas(chosen.shared_memory, registry)))
        fleet = Fleet(spec, f"bench-{random_id(8)}", partial(reach, arenas), registry)
        stack.push_async_callback(fleet.close)
        fleet.open(LOCAL, {})
        fleet.route(LOCAL)
        fleet.update(Members(1, [process.member for process in controller.processes.values()]))
        await fleet.serving(LOCAL)
        chain: Chain = spec.cls()
        attach(chain, spec, LOCAL, fleet.pools, {})
        replicas = [process for process in controller.processes.values() if process.recipe.role == "replica"]

        async def send(data: Array) -> int:
            enter_request(RequestContext(next_id(), "", monotonic() + _MOST, LOCAL))
            return await chain.send(data)

        yield Way(name, send, lambda: [os.getpid(), *(process.pid for process in replicas)])


@asynccontextmanager
async def in_one_process(stages: int) -> AsyncIterator[Way]:
    """The same services inline: there is no way."""
    with temporary_folder() as folder:
        spec = inlined(_declared(stages, folder)[0])
    chain: Chain = spec.cls()
    services = {one.name: inline_handle(one, one.cls()) for one in spec.services.values()}
    attach(chain, spec, LOCAL, {}, dict(services))
    yield Way(FUSED, chain.send, lambda: [os.getpid()])


def _declared(stages: int, folder: Path) -> tuple[AppSpec, str]:
    """A chain of so many services, and the file by which its processes find it."""
    target = written_app(
        folder, f"from kapelle.bench.chain import declare\n\nMeasuredChain = declare({stages}, __name__)"
    )
    return Target(target).load(), target


async def _start(kind: str, stages: int, volume: Path, stack: AsyncExitStack) -> list[StageProcess]:
    return [await stack.enter_async_context(started(kind, volume)) for _ in range(stages)]


def _with_this(processes: list[StageProcess]) -> list[int]:
    return [os.getpid(), *(one.pid for one in processes)]
