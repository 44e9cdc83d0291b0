"""Both ends of a connection, over each transport, as tests look at them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from kapelle.config.settings import Settings
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.credentials import Credentials, PeerTls, credentials_of
from kapelle.transport.memory import MemoryNetwork
from kapelle.transport.sharing import Arenas
from kapelle.wire.frames import Frame
from tests.certificates import Member, make_authority

KINDS = ("memory", "unix", "tcp", "shared", "tcp+secret", "tcp+tls+secret")

SECRET = b"what only the processes of one system know"


ROOM = 8 << 20
"""Bytes of an arena."""


class End:
    """One end: what it was given, and the reasons for which it was told that it is over."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.frames: list[Frame] = []
        self.lost: list[str] = []
        self._changed = asyncio.Event()

    def start(self) -> End:
        self.connection.start(self._on_frames, self._on_lost)
        return self

    @property
    def heads(self) -> list[bytes]:
        return [frame.head for frame in self.frames]

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            self._changed.clear()
            await self._changed.wait()

    async def received(self, count: int) -> list[Frame]:
        await self.until(lambda: len(self.frames) >= count)
        return self.frames

    async def ended(self) -> str:
        await self.until(lambda: self.lost)
        return self.lost[0]

    def _on_frames(self, frames: list[Frame]) -> None:
        assert frames
        assert not self.lost, "nothing is delivered after the end"
        self.frames += frames
        self._changed.set()

    def _on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self._changed.set()


class Network:
    """One listener, and any number of connections to it. ``is_costly`` where to connect takes many milliseconds."""

    def __init__(
        self, dial: Callable[[], Awaitable[Connection]], accepted: asyncio.Queue[Connection], *, is_costly: bool = False
    ) -> None:
        self.is_costly = is_costly
        self._dial = dial
        self._accepted = accepted
        self._open: list[End] = []

    async def unstarted(self) -> tuple[End, End]:
        """The dialling end and the accepting one, not started yet."""
        here, there = End(await self._dial()), End(await self._accepted.get())
        self._open = [end for end in self._open if not end.lost] + [here, there]
        return here, there

    async def connect(self) -> tuple[End, End]:
        here, there = await self.unstarted()
        return here.start(), there.start()

    def abort(self) -> None:
        """End whatever is left."""
        for end in self._open:
            end.connection.abort()


def make_credentials(kind: str, folder: Path) -> Credentials | None:
    """What both sides show over a transport of this kind."""
    if "secret" not in kind:
        return None
    return Credentials(SECRET, tls_of(make_authority(folder).sign("both")) if "tls" in kind else None)


def tls_of(member: Member) -> PeerTls:
    """Mutual TLS with the certificate of a process."""
    tls = credentials_of(Settings(**cast(Any, member.settings))).tls
    assert tls is not None
    return tls


@asynccontextmanager
async def open_network(kind: str, folder: Path) -> AsyncIterator[Network]:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    if kind == "memory":
        network = MemoryNetwork()
        network.listen("there", accepted.put_nowait)
        yield Network(lambda: network.connect("there"), accepted)
        return
    over_tcp = kind.startswith("tcp")
    credentials = make_credentials(kind, folder)
    address = sockets.Address("tcp", "127.0.0.1") if over_tcp else sockets.Address("unix", str(folder / "s"))
    bound = sockets.bind(address)
    if over_tcp:
        address = sockets.Address("tcp", "127.0.0.1", bound.getsockname()[1])
    here, there = (Arenas(ROOM if kind == "shared" else 0, Registry()) for _ in range(2))

    def accept(connection: Connection) -> None:
        accepted.put_nowait(there.accepted(connection) if kind == "shared" else connection)

    server = await sockets.serve(bound, accept, credentials)

    async def dial() -> Connection:
        return here.dialled(await sockets.connect(address, credentials))

    open_to_it = Network(dial, accepted, is_costly="tls" in kind)
    try:
        yield open_to_it
    finally:
        here.close()
        there.close()
        open_to_it.abort()
        server.close()
        await server.wait_closed()
