"""The way through a shared volume: the payload is a file, and what is sent over a Unix socket is its path.

Who reads a file removes it. A line goes one way, and a line comes back.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

from kapelle.bench.payload import payload, received
from kapelle.types.arrays import Array

PASS_ON, FINISH = "pass_on", "finish"


class Volume:
    """A folder in which this process writes files of names that nobody else takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def write(self, data: Array) -> Path:
        """A new file of these bytes."""
        path = self._folder / f"{os.getpid()}-{next(self._numbers)}"
        path.write_bytes(data.data)
        return path

    def answer(self, verb: str, path: Path) -> str:
        """What a stage does: take the file, and give the path of another one or the sum at the end."""
        data = path.read_bytes()
        path.unlink()
        total = received(data)
        return str(total if verb == FINISH else self.write(payload(len(data))))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the lines of a connection until it ends."""
        while line := await reader.readline():
            verb, _, path = line.decode().rstrip().partition(" ")
            writer.write(f"{self.answer(verb, Path(path))}\n".encode())
        writer.close()


class LineClient:
    """Sends lines to one stage; each takes a connection that is free, or opens another one."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, verb: str, path: str) -> str:
        """Send and wait for the answer.

        Raises:
            OSError: the stage is gone.
        """
        reader, writer = self._free.pop() if self._free else await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(f"{verb} {path}\n".encode())
            line = await reader.readline()
        except BaseException:  # a cancellation too: an answer that is still to come is not that to the next line
            writer.close()
            raise
        if not line:
            writer.close()
            raise ConnectionResetError("the stage ended the connection before it had answered")
        self._free.append((reader, writer))
        return line.decode().rstrip()

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop()[1].close()
