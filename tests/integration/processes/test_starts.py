"""Starts that fail or take long, at first and later in life; and what runs around an instance's life."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.integration.processes.load import Load
from tests.integration.processes.serving import ask_status, begin, kapelle, pids, serving, sweep

APP = """
import asyncio
import sys
from pathlib import Path
import kapelle

{at_import}

@kapelle.service(replicas={replicas})
class Doubler:
    def __init__(self) -> None:
        {in_constructor}

    @kapelle.method
    def double(self, number: int) -> int:
        return 2 * number
{in_service}

@kapelle.app
class App:
    doubler: Doubler

    def __init__(self) -> None:
        {in_app}

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        return await self.doubler.double(x)
"""
NOTHING = {"at_import": "", "in_constructor": "pass", "in_service": "", "in_app": "pass", "replicas": "2"}


def write(folder: Path, **parts: str) -> str:
    (folder / "app.py").write_text(APP.format(**{**NOTHING, **parts}))
    return "app.py"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (
            {"at_import": "if 'worker' in sys.argv[0]: import no_such_library"},
            "ModuleNotFoundError: No module named 'no_such_library'",
        ),
        ({"in_constructor": "raise ValueError('no such model:', 'm')"}, "ValueError: ('no such model:', 'm')"),
        ({"in_constructor": "sys.exit(8)"}, "exited with status 8"),
        ({"in_app": "raise KeyError"}, "gateway-0: KeyError; the log above says why"),
    ],
)
async def test_a_start_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, parts: dict[str, str], reason: str
) -> None:
    system = await begin(tmp_path, target=write(tmp_path, **parts))
    assert await system.ended() == 1
    assert system.lines[-1].startswith("kapelle: the system did not start: "), system.lines[-1]
    assert reason in system.lines[-1]
    await system.silence()
    assert not (tmp_path / "run").exists()


async def test_a_crash_loop_later_in_life_is_an_alarm_and_others_serve(tmp_path: Path) -> None:
    target = write(tmp_path, in_constructor="assert not Path('broken').exists(), 'it is broken'")
    async with serving(tmp_path, target=target) as system, Load(system.url) as load:
        (tmp_path / "broken").touch()
        os.kill(pids(await ask_status(tmp_path))["Doubler-1"], signal.SIGKILL)
        await system.said("a process keeps crashing")
        status = {one.name: one for one in (await ask_status(tmp_path)).processes}
        assert status["Doubler-1"].last_end == "AssertionError: it is broken"
        code, _, _ = await kapelle(tmp_path, "status", "--run-dir", "run")
        assert code == 1
        (tmp_path / "broken").unlink()
        await system.said("a process is back")
        await load.more(20)
        load.check()
        status = {one.name: one for one in (await ask_status(tmp_path)).processes}
        assert (status["Doubler-1"].phase, status["Doubler-0"].restarts) == ("serving", 0)


async def test_what_is_not_ready_yet_is_said_and_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights")
    target = write(tmp_path, in_constructor="print('loading'); open('weights').read()", replicas="1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    system = await begin(tmp_path, "--port", str(port), target=target)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            # The door was open before any process was started.
            await system.said("loading")
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.text) == (503, "waiting for Doubler\n")
            assert (await client.get("/livez")).status_code == 200
            assert (await client.post("/double", json={"x": 1})).status_code == 503
            assert {one.phase for one in (await ask_status(tmp_path)).processes} == {"starting"}
            await asyncio.to_thread((tmp_path / "weights").write_text, "loaded")
            await system.said("stop  Ctrl-C")
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.post("/double", json={"x": 1})).text == "2"
    finally:
        await sweep(tmp_path, system)


HOOKS = """
    def tell(self, line):
        with open("diary", "a") as diary:
            diary.write(line + "\\n")

    @kapelle.on_startup
    def begin(self) -> None:
        self.tell("begin")

    @kapelle.on_startup(background=True)
    async def beside(self) -> None:
        self.tell("beside")
        try:
            await asyncio.Event().wait()
        finally:
            self.tell("beside ends")

    @kapelle.on_startup(background=True)
    async def failing_beside(self) -> None:
        raise ValueError("beside fails")

    @kapelle.on_shutdown
    def a_failing_end(self) -> None:
        raise ValueError("the end fails")

    @kapelle.on_shutdown
    async def end(self) -> None:
        self.tell("end")
"""


async def test_hooks_run_around_the_traffic(tmp_path: Path) -> None:
    target = write(tmp_path, in_service=HOOKS, replicas="1")
    async with serving(tmp_path, target=target) as system:
        await system.said("background hook failed.*beside fails")
        async with httpx.AsyncClient(base_url=system.url, trust_env=False) as client:
            assert (await client.post("/double", json={"x": 3})).text == "6"
        assert (tmp_path / "diary").read_text().split("\n") == ["begin", "beside", ""]
        system.process.send_signal(signal.SIGTERM)
        assert await system.ended() == 0
        assert system.matches("shut-down hook failed.*the end fails")
    assert (tmp_path / "diary").read_text().split("\n") == ["begin", "beside", "beside ends", "end", ""]
