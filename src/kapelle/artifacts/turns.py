"""Turns: the processes of a machine build new releases one after the other, so that cores are left for the traffic."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from kapelle.artifacts.beside import beside

_CORES = 2
"""Cores for each process that builds."""


class Turns:
    """A turn is a lock on a file in ``folder``, which the kernel takes from a process that dies.

    There are as many at a time as the machine has pairs of cores; ``name`` decides which of them a process waits for. It
    does so for ``patience`` seconds at most: this is a courtesy, and nobody shall be held up by somebody who is stuck.
    """

    def __init__(self, folder: Path, name: str, patience: float) -> None:
        seats = max(1, (os.cpu_count() or 1) // _CORES)
        self._patience = patience
        self._path = folder / f"turn-{sum(name.encode()) % seats}"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for it, and have it until the end of the block; go on without where it is not to be had."""
        with ExitStack() as stack:
            with suppress(TimeoutError, OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                lock = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
                taking = asyncio.ensure_future(beside(partial(fcntl.flock, lock, fcntl.LOCK_EX)))
                # In the end, but not before: a thread that waits for it cannot be told that nobody wants it any more.
                stack.callback(taking.add_done_callback, lambda _: os.close(lock))
                async with asyncio.timeout(self._patience):
                    await asyncio.shield(taking)
            yield
