"""The controller is killed: the system serves on, and the next controller takes it over as it is."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.processes.load import Load
from tests.integration.processes.serving import ORCHESTRA, Serving, ask_status, begin, gone, pids, serving, sweep


@asynccontextmanager
async def taking_over(folder: Path, *options: str, target: str = ORCHESTRA, **variables: str) -> AsyncIterator[Serving]:
    """A second controller, which ends in order and takes all with it."""
    one = await begin(folder, *options, target=target, **variables)
    try:
        await one.said("stop  Ctrl-C")
        yield one
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0, "\n".join(one.lines)
        assert one.lines[-1] == "stopped; nothing was left behind"
        assert not (folder / "run").exists()
    finally:
        await sweep(folder, one)


async def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    await gone([pid])


async def test_what_runs_is_taken_over_under_load(tmp_path: Path) -> None:
    async with serving(tmp_path, "--gateways", "2") as first, Load(first.url, forgiving=True) as load:
        before = await ask_status(tmp_path)
        assert before.controller == first.process.pid
        await first.killed()
        await load.more(50)
        orphaned = await ask_status(tmp_path)
        assert orphaned.controller == 0
        assert pids(orphaned) == pids(before)
        assert {one.phase for one in orphaned.processes} == {"serving"}
        async with taking_over(tmp_path, "--gateways", "2") as second:
            assert second.url == first.url
            assert len(second.matches("adopting")) == 4
            after = await ask_status(tmp_path)
            assert (after.controller, pids(after)) == (second.process.pid, pids(before))
            # What is restarted now comes from the second controller, with the door it was given by a gateway.
            for name in ("gateway-0", "Doubler-0", "gateway-1"):
                await killed(pids(after)[name])
                await second.said(f'"{name}".*a process is back')
                await load.more(20)
            load.check()
            assert load.refused == 0
            load.stop()


async def test_what_died_meanwhile_is_repaired(tmp_path: Path) -> None:
    async with serving(tmp_path) as first, Load(first.url) as load:
        before = pids(await ask_status(tmp_path))
        await first.killed()
        await killed(before["Doubler-1"])
        await load.more(50)
        async with taking_over(tmp_path) as second:
            after = pids(await ask_status(tmp_path))
            assert after["Doubler-0"] == before["Doubler-0"]
            assert after["Doubler-1"] not in (0, before["Doubler-1"])
            await reached(first.url, 2, load)
            await killed(after["Doubler-0"])
            await load.more(50)
            load.check()
            load.stop()
            assert second.url == first.url


async def reached(url: str, replicas: int, load: Load) -> None:
    """Return when the gateway can call so many; a new one is known to the controller a moment earlier."""
    usable = re.compile(rf"^kapelle_pool_usable\{{[^}}]*\}} {replicas}(\.0)?$", re.MULTILINE)
    async with httpx.AsyncClient(trust_env=False) as client:
        while not usable.search((await client.get(f"{url}/metrics")).text):
            await load.more(5)


async def test_a_controller_that_stood_still_kills_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, hang_timeout="1s") as first, Load(first.url) as load:
        before = pids(await ask_status(tmp_path))
        first.process.send_signal(signal.SIGSTOP)
        await load.sent_more(int(1.5 * load.rate))
        first.process.send_signal(signal.SIGCONT)
        await load.sent_more(int(1.5 * load.rate))
        load.check()
        assert pids(await ask_status(tmp_path)) == before
        assert not first.matches("killing a process")


APP = """
import kapelle

@kapelle.service(replicas={replicas})
class Doubler:
    @kapelle.method
    def double(self, number: int) -> int:
        return 2 * number

    @kapelle.method
    def version(self) -> int:
        return {version}

@kapelle.app
class App:
    doubler: Doubler

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        return await self.doubler.double(x)

    @kapelle.post("/version")
    async def version(self) -> list[int]:
        return [{version}, await self.doubler.version()]
"""


async def test_another_plan_is_carried_out_step_by_step(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.format(replicas=2, version=1))
    async with serving(tmp_path, target=str(app)) as first, Load(first.url, forgiving=True) as load:
        before = pids(await ask_status(tmp_path))
        await first.killed()
        app.write_text(APP.format(replicas=3, version=2))
        second = await begin(tmp_path, target=str(app))
        try:
            await second.said("stop  Ctrl-C")
            # Nobody runs the old text any more once these have gone.
            await gone(before.values())
            await load.more(20)
            grown = pids(await ask_status(tmp_path))
            assert sorted(grown) == ["Doubler-0~2", "Doubler-1~2", "Doubler-2", "gateway-0~2"]
            assert httpx.post(f"{second.url}/version", content=b"{}", trust_env=False).json() == [2, 2]  # noqa: ASYNC210 - nobody else uses this loop
            await second.killed()
        finally:
            await sweep(tmp_path, second) if sys.exc_info()[0] else None
        app.write_text(APP.format(replicas=1, version=2) + "# fewer\n")
        async with taking_over(tmp_path, target=str(app)) as third:
            await gone(grown.values())
            await load.more(20)
            shrunk = pids(await ask_status(tmp_path))
            assert sorted(shrunk) == ["Doubler-0~3", "gateway-0~3"]
            load.check()
            load.stop()
            assert (load.refused, third.url) == (0, first.url)


async def test_processes_that_are_on_no_record_are_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as first, Load(first.url, forgiving=True) as load:
        before = pids(await ask_status(tmp_path))
        await first.killed()
        (tmp_path / "run" / "processes.json").unlink()
        async with taking_over(tmp_path) as second:
            assert second.url == first.url, "the door was got from the gateway all the same"
            await gone(before.values())
            await load.more(30)
            assert set(pids(await ask_status(tmp_path))) == {f"{name}~2" for name in before}
            load.check()
            load.stop()


@pytest.mark.parametrize("moment", ["starting Orchestra", "Doubler: 2 replicas", "is ready after"])
async def test_a_controller_that_is_killed_while_it_starts_resumes(tmp_path: Path, moment: str) -> None:
    first = await begin(tmp_path)
    try:
        await first.said(moment)
        await first.killed()
        async with taking_over(tmp_path) as second:
            assert httpx.post(f"{second.url}/double", json={"x": 2}, trust_env=False).text == "4"  # noqa: ASYNC210 - nobody else uses this loop
            assert len(pids(await ask_status(tmp_path))) == 3
    finally:
        await sweep(tmp_path, first)
    # Its output ends when the last process that it ever started has ended.
    await first.silence()


async def test_a_gateway_that_hangs_gives_way_at_the_door(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        before = pids(await ask_status(tmp_path))
        await first.killed()
        os.kill(before["gateway-0"], signal.SIGSTOP)
        port = first.url.rpartition(":")[2]
        async with taking_over(tmp_path, "--port", port, hang_timeout="1s") as second:
            assert second.url == first.url
            after = pids(await ask_status(tmp_path))
            assert after["Doubler-0"] == before["Doubler-0"]
            assert after["gateway-0"] not in (0, before["gateway-0"])
