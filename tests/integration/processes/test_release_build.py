"""``kapelle release build`` with an app that brings a builder: options that reach it, and signals that end it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kapelle.control.exits import birth
from tests.integration.processes.serving import KAPELLE, kapelle, serving

APP = """
from pathlib import Path
import kapelle

@kapelle.service(artifact="words")
class Words:
    def __init__(self, artifact: Path) -> None:
        self.words = (artifact / "words").read_text().split()

    @kapelle.method
    def count(self) -> int:
        return len(self.words)

@kapelle.app
class Counter:
    words: Words

    @kapelle.get("/count")
    async def count(self) -> int:
        return await self.words.count()
"""

BUILDER = """
import argparse, os, signal
from pathlib import Path

def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--endless", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    given = parser.parse_args(arguments)
    (given.out / "words").mkdir()
    if given.deaf:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if given.endless:
        print("pid", os.getpid(), flush=True)
        while True:
            signal.pause()
    text = given.data.read_text() + " " + (given.store or "")
    (given.out / "words" / "words").write_text(text)
    print("counted", len(text.split()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counter").mkdir()
    (tmp_path / "counter" / "app.py").write_text(APP)
    (tmp_path / "counter" / "build.py").write_text(BUILDER)
    (tmp_path / "two.txt").write_text("one two")
    (tmp_path / "three.txt").write_text("one two three")
    return tmp_path


@asynccontextmanager
async def building(folder: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A build that does not end, in a process group of its own, as on a terminal; and the pid of its builder."""
    process = await asyncio.create_subprocess_exec(
        KAPELLE, "release", "build", "counter", "--endless", *options,
        cwd=folder, start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = [line.split() async for line in _until(process.stdout, b"pid ")]
        yield process, int(lines[-1][1])
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _until(lines: asyncio.StreamReader, beginning: bytes) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line
        if line.startswith(beginning):
            return


def left(folder: Path) -> list[Path]:
    return list((folder / ".kapelle" / "build" / "counter").iterdir())


async def test_new_data_is_a_new_release_that_can_be_served(folder: Path) -> None:
    for number, (data, words) in enumerate([("two", 2), ("three", 3)], start=1):
        code, said, errors = await kapelle(folder, "release", "build", "counter", "--data", f"{data}.txt")
        assert (code, errors) == (0, "")
        assert said.splitlines()[:2] == [f"building with counter/build.py --data {data}.txt", f"counted {words}"]
        assert f"r{number}: 2 files" in said
    assert left(folder) == []
    async with serving(folder, "--release", "r2", target="counter") as system:
        assert await kapelle(folder, "call", "Words.count", "--run-dir", "run") == (0, "3\n", ""), system.lines


async def test_own_options_and_those_after_two_dashes_reach_the_builder(folder: Path) -> None:
    code, said, errors = await kapelle(
        folder, "release", "build", "counter", "--store", "kept", "--data=two.txt", "--", "--store", "more"
    )
    assert (code, errors) == (0, "")
    assert "counted 3" in said
    assert (folder / "kept" / "releases" / "r1.json").is_file()
    code, said, _ = await kapelle(folder, "release", "build", "counter", "--", "--help")
    assert (code, "--endless" in said) == (0, True)
    code, said, _ = await kapelle(folder, "release", "build", "--help")
    assert (code, "build.py" in said) == (0, True)


async def test_a_builder_that_fails_is_the_last_word(folder: Path) -> None:
    code, said, errors = await kapelle(folder, "release", "build", "counter", "--dta", "two.txt")
    assert (code, said) == (1, "building with counter/build.py --dta two.txt\n")
    assert "unrecognized arguments: --dta two.txt" in errors
    assert errors.endswith("kapelle: counter/build.py ended with exit status 2; nothing was stored\n")
    assert left(folder) == []


async def test_options_for_nobody(folder: Path) -> None:
    (folder / "counter" / "build.py").unlink()
    code, said, errors = await kapelle(folder, "release", "build", "counter", "--data", "two.txt")
    assert (code, said) == (1, "")
    assert errors == (
        "kapelle: --data two.txt: no option of Kapelle's, and the app has no builder to give it to: looked for "
        "counter/build.py; `kapelle release build --help` lists the options there are\n"
    )


@pytest.mark.parametrize("deaf", [False, True])
async def test_ctrl_c_ends_the_builder(folder: Path, deaf: bool) -> None:
    async with building(folder, *(["--deaf"] if deaf else [])) as (process, builder):
        born = birth(builder)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = await process.communicate()
        assert (process.returncode, output) == (130, b"")
    assert birth(builder) != born
    assert left(folder) == []


async def test_a_build_that_is_ended_ends_its_builder(folder: Path) -> None:
    async with building(folder) as (process, builder):
        born = birth(builder)
        process.terminate()
        output, _ = await process.communicate()
        assert (process.returncode, output) == (130, b"")
    assert birth(builder) != born
    assert left(folder) == []
