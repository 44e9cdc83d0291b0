"""Connections that are passed on, byte for byte: from a port that one process holds to whoever serves them on its machine.

For what cannot accept at a socket that it is lent, as the servers of gRPC cannot.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import count
from pathlib import Path

from kapelle.tasks import Tasks

_CHUNK = 64 << 10
_MANY = 1024
"""Connections at once; more are closed."""


class Forwarding:
    """Passes what comes in at ``bound`` on to the Unix sockets ``*<suffix>`` in ``folder``, in turns."""

    def __init__(self, bound: socket.socket, folder: Path, suffix: str) -> None:
        self._bound = bound
        self._folder = folder
        self._suffix = suffix
        self._turn = count()
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin."""
        self._server = await asyncio.start_server(self._come, sock=self._bound, limit=_CHUNK)

    async def close(self) -> None:
        """End all of them."""
        if self._server is not None:
            self._server.close()
        self._tasks.cancel()
        await self._tasks.ended()

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None if len(self._tasks) >= _MANY else await self._connect()
        if there is None:
            writer.close()
            return
        self._tasks.spawn(_join(reader, writer, *there))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next of them who answers."""
        paths = sorted(self._folder.glob(f"*{self._suffix}"))
        first = next(self._turn)
        for number in range(len(paths)):
            try:
                return await asyncio.open_unix_connection(str(paths[(first + number) % len(paths)]), limit=_CHUNK)
            except OSError:
                continue  # it is gone, and its socket will be cleared away by the next that comes
        return None


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    """Pass on both ways, until both have ended."""
    try:
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
    except OSError:
        pass  # one of them broke: so does the other
    finally:
        writer.close()
        there_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
