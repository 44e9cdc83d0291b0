"""A stage that is no service of Kapelle's, in a process of its own: ``python -m kapelle.bench.stage http|framework|files``.

It says where it listens on its standard output, and ends when its standard input does: whoever started it need not
live to end it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from kapelle.bench import framework
from kapelle.bench.files import Volume
from kapelle.bench.server import HttpStage
from kapelle.bench.system import temporary_folder
from kapelle.errors import StartError
from kapelle.observe.process import settle
from kapelle.transport.door import open_door

LOOPBACK = "127.0.0.1"
_GRACE = 3.0
"""Seconds for a stage to end by itself."""


@dataclass(frozen=True, slots=True)
class StageProcess:
    """A stage that runs; ``address`` is its port, or the path of its socket."""

    pid: int
    address: str


@asynccontextmanager
async def started(kind: str, volume: Path) -> AsyncIterator[StageProcess]:
    """A stage, for the length of an ``async with``; ``volume`` is where its files are.

    Raises:
        StartError: it ended at once.
    """
    # Apart from the volume, whose path may be too long for a socket's.
    with temporary_folder() as folder:
        async with _process(kind, volume, folder / "socket") as process:
            yield process


@asynccontextmanager
async def _process(kind: str, volume: Path, socket: Path) -> AsyncIterator[StageProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, kind, str(volume), str(socket),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches only who started it, and that ends it
    )  # fmt: skip
    assert process.stdin is not None, "it was asked for"
    assert process.stdout is not None, "it was asked for"
    try:
        address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise StartError(f"a stage for {kind} did not start; what is printed above says why")
        yield StageProcess(process.pid, address)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _serve(kind: str, volume: Path, socket: str) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with closing(open_door(LOOPBACK, 0)) as door:
        address = str(door.getsockname()[1])
        work: Coroutine[Any, Any, Any]
        if kind == "framework":
            work, end = framework.serve(door)
        else:
            if kind == "http":
                server = await loop.create_server(HttpStage, sock=door)
            else:
                address, server = socket, await asyncio.start_unix_server(Volume(volume).serve, socket)
            work, end = _until(ended, server), ended.set
        # Nobody writes to it: what can be read is its end.
        loop.add_reader(sys.stdin.fileno(), end)
        settle()
        os.write(sys.stdout.fileno(), f"{address}\n".encode())
        await work


async def _until(ended: asyncio.Event, server: asyncio.Server) -> None:
    await ended.wait()
    server.close()


def main(arguments: list[str]) -> None:
    """Entry point: the kind, the volume, and the path for a socket."""
    kind, volume, socket = arguments
    uvloop.run(_serve(kind, Path(volume), socket))


if __name__ == "__main__":
    main(sys.argv[1:])
