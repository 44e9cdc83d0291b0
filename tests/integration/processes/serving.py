"""The real command, as people run it: started, listened to, signalled, and looked after until nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kapelle.cli.project import Running
from kapelle.cli.status import find_status
from kapelle.control import status
from kapelle.control.exits import birth, wait_for_exit
from kapelle.control.rundir import RunDir

KAPELLE = str(Path(sys.executable).with_name("kapelle"))
ORCHESTRA = f"{Path(__file__).with_name('orchestra.py')}:Orchestra"


@dataclass
class Serving:
    """One ``kapelle serve`` and all that it printed and logged; processes it started go on writing here without it."""

    folder: Path
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.match(r"is ready at (\S+)")[1]

    async def said(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Return when it has printed or logged a line in which ``pattern`` is found; the last such match."""
        while len(self.matches(pattern)) < times:
            if self._reading.done():
                raise AssertionError(f"it ended without saying {pattern!r}:\n" + "\n".join(self.lines))
            self._changed.clear()
            await self._changed.wait()
        return self.matches(pattern)[-1]

    def match(self, pattern: str) -> re.Match[str]:
        """The last match of ``pattern`` in a line."""
        found = self.matches(pattern)
        assert found, f"no line has {pattern!r}:\n" + "\n".join(self.lines)
        return found[-1]

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """The matches of ``pattern``, a line each."""
        return [found for line in self.lines if (found := re.search(pattern, line))]

    async def ended(self) -> int:
        """Return its exit status, when it has ended."""
        return await self.process.wait()

    async def silence(self) -> None:
        """Return when every process that could write here has ended, or closed its output."""
        await self._reading

    async def close_output(self) -> None:
        """Read no more: whoever writes here from now on gets an error."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        transport: Any = self.process._transport  # type: ignore[attr-defined]  # there is no public way to its pipes
        transport.get_pipe_transport(1).close()

    async def killed(self) -> None:
        """Kill this controller, and it alone."""
        self.process.kill()
        await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()
        self._changed.set()


async def begin(
    folder: Path, *options: str, target: str = ORCHESTRA, command: Sequence[str] = (KAPELLE,), **variables: str
) -> Serving:
    """Start ``kapelle serve``; returns at once."""
    environment = {
        **os.environ, "KAPELLE_PORT": "0", "KAPELLE_ACCESS_LOG": "false", "PYTHONUNBUFFERED": "1",
        **{f"KAPELLE_{name.upper()}": value for name, value in variables.items()},
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, "serve", target, "--run-dir", str(folder / "run"), *options,
        cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    return Serving(folder, process)


@asynccontextmanager
async def serving(folder: Path, *options: str, target: str = ORCHESTRA, **variables: str) -> AsyncIterator[Serving]:
    """A ``kapelle serve`` that is ready. At the end it, and whatever it or its successors left running, is ended."""
    one = await begin(folder, *options, target=target, **variables)
    try:
        await one.said("stop  Ctrl-C")
        yield one
    finally:
        await sweep(folder, one)


async def sweep(folder: Path, *controllers: Serving) -> None:
    """End what is still there, in order if possible: for tests that failed, too."""
    for one in controllers:
        # Shown where the test has failed.
        print("\n".join(one.lines))  # noqa: T201 - user code that prints
        if one.process.returncode is None:
            one.process.send_signal(signal.SIGTERM)
            await one.process.wait()
    for record in RunDir(folder / "run").records():
        if record.pid and birth(record.pid) == record.born:
            os.kill(record.pid, signal.SIGKILL)
            await wait_for_exit(record.pid, record.born, None)


async def kapelle(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run another verb: exit status, output, errors."""
    process = await asyncio.create_subprocess_exec(
        KAPELLE, *arguments, cwd=folder, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def ask_status(folder: Path) -> status.SystemStatus:
    """What ``kapelle status`` finds."""
    return await find_status(Running(ORCHESTRA, RunDir(folder / "run")))


def pids(found: status.SystemStatus) -> dict[str, int]:
    """The process numbers by name."""
    return {one.name: one.pid for one in found.processes}


async def gone(numbers: Iterable[int]) -> None:
    """Return when none of these processes is there any more."""
    for pid in numbers:
        await wait_for_exit(pid, birth(pid), None)
