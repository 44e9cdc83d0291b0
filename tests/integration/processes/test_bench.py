"""``kapelle bench``, as people run it: what it says, what it writes, and that nothing of it is left, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX, Comparison
from kapelle.control.exits import birth
from tests.integration.processes.serving import KAPELLE

APP = """
import kapelle

@kapelle.service
class Upper:
    @kapelle.method
    def upper(self, text: str) -> str:
        return text.upper()

@kapelle.app
class Loud:
    upper: Upper

    @kapelle.post("/say")
    async def say(self, text: str) -> str:
        return await self.upper.upper(text)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    app = tmp_path / "loud"
    app.mkdir()
    (app / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary ones; its path is short enough for those of sockets in it."""
    with tempfile.TemporaryDirectory(prefix="kapelle-") as name:
        yield Path(name)


@asynccontextmanager
async def benching(folder: Path, temporary: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One ``kapelle bench``, with a temporary folder of its own to be looked at afterwards."""
    process = await asyncio.create_subprocess_exec(
        KAPELLE, "bench", "loud", *arguments, cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "100"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(120)
async def test_a_comparison_says_and_writes_what_it_found(folder: Path, temporary: Path) -> None:
    arguments = ("--compare", "--sizes", "1KB,100KB", "--seconds", "0.2", "--concurrency", "4", "--out", "out")
    async with benching(folder, temporary, *arguments) as process:
        told, _ = await process.communicate()
        text = told.decode()
    assert process.returncode == 0, text
    assert "Loud: 1 service in processes of their own; this takes about" in text
    assert "At 100 KB, quickest between processes" in text
    assert "Fus" in text
    found = msgspec.json.decode((folder / "out" / "compare.json").read_bytes(), type=Comparison)
    assert [[line.way for line in block.lines] for block in found.blocks] == 2 * [
        [HTTPX, HTTP, FILES, TCP, UNIX, SHARED, FUSED]
    ]
    assert found.own is not None
    assert [line.way for line in found.own.lines] == [TCP, UNIX, SHARED, FUSED]
    assert (folder / "out" / "compare.svg").read_text().startswith("<svg")
    assert is_empty(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_comparison_that_is_interrupted_leaves_nothing_behind(
    folder: Path, temporary: Path, number: signal.Signals
) -> None:
    async with benching(folder, temporary, "--compare", "--seconds", "5") as process:
        assert process.stdout is not None
        while not (await process.stdout.readline()).startswith(b"1 KB"):
            pass
        started = children(process.pid)
        assert len(started) == 3 + 3 * 2
        process.send_signal(number)
        told = (await process.stdout.read()).decode()
        assert await process.wait() == 130, told
    assert "Traceback" not in told
    assert not any(map(birth, started))
    assert is_empty(temporary)
