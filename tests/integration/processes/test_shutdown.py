"""The end: everything that was taken is answered, then nothing is left; and when there is no time, it ends at once."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import httpx
import pytest

from kapelle.control.exits import birth
from tests.integration.processes.load import Load
from tests.integration.processes.serving import KAPELLE, ORCHESTRA, ask_status, begin, gone, pids, serving


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm")) if sys.platform == "linux" else set()  # noqa: PTH208 - the plain system call is meant


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_that_was_taken_is_answered_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    before = shared_memory()
    async with serving(tmp_path, "--gateways", "2") as system, httpx.AsyncClient(base_url=system.url) as client:
        async with Load(system.url, forgiving=True) as load:
            slow = [asyncio.create_task(client.post("/slowly", json={"x": x, "seconds": 0.5})) for x in range(4)]
            await load.more(30)
            system.process.send_signal(number)
            # From here on some are refused; none that was taken may be lost.
            assert await system.ended() == 0
            await load.until(lambda: load.refused > 10)
        load.check()
        assert [answer.text for answer in await asyncio.gather(*slow)] == ["0", "2", "4", "6"]
        assert system.lines[-1] == "stopped; nothing was left behind"
        await system.silence()
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at a local file takes microseconds
    assert shared_memory() <= before


async def test_the_second_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as system, httpx.AsyncClient(base_url=system.url) as client:
        numbers = pids(await ask_status(tmp_path))
        slow = asyncio.create_task(client.post("/slowly", json={"x": 1, "seconds": 600}))
        await client.post("/double", json={"x": 1})
        system.process.send_signal(signal.SIGINT)
        await system.said("draining: ")
        system.process.send_signal(signal.SIGINT)
        await system.said("ending everything at once")
        assert await system.ended() == 1
        with pytest.raises(httpx.RemoteProtocolError):
            await slow
        assert "some work did not finish: gateway-0: killed by SIGKILL" in system.lines[-1]
        await gone(numbers.values())
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at a local file takes microseconds


async def test_work_that_does_not_end_in_time_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_timeout="0.5s") as system, httpx.AsyncClient(base_url=system.url) as client:
        slow = asyncio.create_task(client.post("/slowly", json={"x": 1, "seconds": 600}))
        await client.post("/double", json={"x": 1})
        system.process.send_signal(signal.SIGTERM)
        assert await system.ended() == 1
        assert system.lines[-1] == "stopped; some work did not finish: gateway-0: exited with status 1"
        with pytest.raises(httpx.RemoteProtocolError):
            await slow


async def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SLOW_START)
    (tmp_path / "gate").mkdir()
    os.mkfifo(tmp_path / "gate" / "fifo")
    system = await begin(tmp_path, target="app.py")
    await system.said("gateway-0 is ready|Doubler: 1 replica")
    await system.said("the constructor waits")
    system.process.send_signal(signal.SIGINT)
    assert await system.ended() == 0
    assert system.lines[-1] == "stopped; nothing was left behind"
    await system.silence()


SLOW_START = """
import kapelle

@kapelle.service
class Doubler:
    def __init__(self) -> None:
        print("the constructor waits")
        open("gate/fifo").read()

    @kapelle.method
    def double(self, number: int) -> int:
        return 2 * number

@kapelle.app
class App:
    doubler: Doubler

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        return await self.doubler.double(x)
"""


async def test_the_end_of_the_terminal_is_the_end_of_the_system(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    process = subprocess.Popen(  # noqa: ASYNC220 - nobody else uses this loop
        [KAPELLE, "serve", ORCHESTRA, "--run-dir", str(tmp_path / "run"), "--port", "0"],
        cwd=tmp_path, stdin=its, stdout=its, stderr=its, start_new_session=True, preexec_fn=_take_terminal,  # noqa: PLW1509 - meant so
    )  # fmt: skip
    os.close(its)
    shown = b""
    while b"stop  Ctrl-C" not in shown:
        shown += await asyncio.to_thread(os.read, ours, 4096)
    numbers = pids(await ask_status(tmp_path))
    # The window is closed: SIGHUP to the controller, and nobody can write to it any more.
    os.close(ours)
    assert await asyncio.to_thread(process.wait) == 0
    assert not any(birth(pid) for pid in numbers.values())
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at a local file takes microseconds


def _take_terminal() -> None:
    """Make the terminal that of this session, as a shell does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def test_it_serves_on_when_nobody_can_read_its_log_any_more(tmp_path: Path) -> None:
    async with serving(tmp_path, access_log="true") as system:
        url, numbers = system.url, pids(await ask_status(tmp_path))
        await system.killed()
        await system.close_output()
        async with Load(url) as load:
            await load.more(50)
        load.check()
        assert pids(await ask_status(tmp_path)) == numbers
