"""The controller of a system of puppets: real processes, which start fast and misbehave on demand."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kapelle.control import controller as module
from kapelle.control.controller import Controller
from kapelle.control.exits import birth
from kapelle.control.recipes import Recipe
from kapelle.control.rundir import Record, RunDir, System
from kapelle.control.spawn import spawn
from kapelle.errors import StartError
from kapelle.transport.door import open_door
from kapelle.transport.sockets import Address
from tests.unit.control.stage import plan, recipe


class House:
    """A run folder, the recipes of what shall run there, and the controllers that came to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = RunDir(folder / "run")
        self.recipes = [recipe("ready"), recipe("ready", "gateway-0", "gateway")]
        self.lines: list[str] = []
        self._controllers: list[Controller] = []
        self._left: list[subprocess.Popen[bytes]] = []

    def controller(self, **settings: Any) -> Controller:
        self._controllers.append(Controller(plan(self.folder, **settings), RunDir(self.run.path), self.lines.append))
        return self._controllers[-1]

    async def running(self, **settings: Any) -> Controller:
        """A controller whose system serves."""
        controller = self.controller(**settings)
        await controller.start()
        assert await controller.ready_or_failed(), controller.failure
        return controller

    def leave(self, name: str, **more: Any) -> Record:
        """What a controller that is gone would leave running, and on record."""
        control, data = self.run.control(name), self.run.data(name)
        made = recipe("ready")
        popen = spawn(made, name, made.holding, Address.parse(control), Address.parse(data), None).popen
        self._left.append(popen)
        usual: dict[str, Any] = {"slot": "Puppet-0", "digest": "digest", "ready": True}
        return Record(
            name=name, role="replica", service="Puppet", shards=[0], pid=popen.pid, born=birth(popen.pid), data=data,
            control=control, **{**usual, **more},
        )  # fmt: skip

    async def close(self) -> None:
        for controller in self._controllers:
            controller.kill_all()
            await controller.stop()
        for popen in self._left:
            popen.kill()
            popen.wait()


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    house = House(tmp_path)

    def recipes(_: object, __: object) -> list[Recipe]:
        return house.recipes

    monkeypatch.setattr(module, "recipes", recipes)
    yield house
    await house.close()


def phases(controller: Controller) -> dict[str, str]:
    return {one.name: one.phase for one in controller.system_status().processes}


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "127.0.0.1", "port": 81}, "http://127.0.0.1:81"),
        ({"host": "0.0.0.0", "port": 81}, "http://127.0.0.1:81"),
        ({"host": "::", "port": 81}, "http://127.0.0.1:81"),
        ({"host": "::1", "port": 81}, "http://[::1]:81"),
        ({"port": 81, "tls_certificate": "c.pem", "tls_key": "k.pem"}, "https://127.0.0.1:81"),
    ],
)
async def test_the_url_is_one_that_clients_can_use(tmp_path: Path, settings: dict[str, Any], url: str) -> None:
    assert Controller(plan(tmp_path, **settings), RunDir(tmp_path / "run"), lambda _: None).url == url


async def test_all_of_the_plan_is_brought_up_and_taken_down(house: House) -> None:
    controller = await house.running()
    assert phases(controller) == {"Puppet-0": "serving", "gateway-0": "serving"}
    assert controller.system_status().controller == os.getpid()
    assert [line.partition(" s ")[2] for line in house.lines] == ["(1 of 2)", "(2 of 2)"]
    assert {line.partition(" is ready after ")[0] for line in house.lines} == {"Puppet-0", "gateway-0"}
    assert house.run.system() == System(target="theatre.py", url=controller.url)
    assert not controller.url.endswith(":0"), "the port that was taken is told"
    assert {one.name for one in house.run.records()} == {"Puppet-0", "gateway-0"}
    assert await controller.stop() == []
    assert controller.processes == {}
    assert not house.run.path.exists()


async def test_gateways_end_before_replicas(house: House) -> None:
    controller = await house.running()
    replica = controller.processes["Puppet-0"]
    gateway = controller.processes["gateway-0"]
    os.kill(gateway.pid, signal.SIGSTOP)
    stopping = asyncio.create_task(controller.stop())
    await controller.until(lambda: gateway.life.phase.value == "draining")
    assert replica.life.usable, "the gateway may still need it"
    os.kill(gateway.pid, signal.SIGCONT)
    assert await stopping == []


async def test_what_did_not_end_well_is_told(house: House) -> None:
    house.recipes = [recipe("leave work"), recipe("ready", "gateway-0", "gateway")]
    controller = await house.running()
    assert await controller.stop() == ["Puppet-0: exited with status 7"]


async def test_all_can_be_ended_at_once(house: House) -> None:
    house.recipes = [recipe("ignore drain"), recipe("ready", "gateway-0", "gateway")]
    controller = await house.running()
    stopping = asyncio.create_task(controller.stop())
    await controller.until(lambda: phases(controller) == {"Puppet-0": "draining"})
    controller.kill_all()
    assert await stopping == ["Puppet-0: killed by SIGKILL"]


async def test_a_start_has_failed_when_a_process_keeps_crashing(house: House) -> None:
    house.recipes = [recipe("fail"), recipe("ready", "gateway-0", "gateway")]
    controller = house.controller()
    await controller.start()
    assert not await controller.ready_or_failed()
    assert controller.failure == "Puppet-0: ValueError: no such model"


async def test_one_that_dies_later_is_no_failure_of_the_start(house: House) -> None:
    controller = await house.running()
    replica = controller.processes["Puppet-0"]
    os.kill(replica.pid, signal.SIGKILL)
    await controller.until(lambda: replica.life.restarts == 1 and replica.life.usable)
    replica.life.crashes = 99
    assert (controller.ready, controller.failure) == (True, "")
    assert len(house.lines) == 2, "its return is no progress of the start"


async def test_a_port_that_is_taken_leaves_nothing_behind(house: House) -> None:
    with open_door("127.0.0.1", 0) as taken, pytest.raises(StartError, match="cannot listen"):
        await house.controller(port=taken.getsockname()[1]).start()
    assert not house.run.path.exists()


async def test_a_failed_start_lets_go_of_what_runs_and_of_the_folder(house: House) -> None:
    house.run.acquire()
    left = house.leave("Puppet-0")
    house.run.record([left])
    house.run.release()
    with open_door("127.0.0.1", 0) as taken, pytest.raises(StartError, match="cannot listen"):
        await house.controller(port=taken.getsockname()[1]).start()
    assert birth(left.pid) == left.born
    assert house.run.records() == [left]
    controller = await house.running()
    assert controller.processes["Puppet-0"].pid == left.pid


async def test_a_second_controller_harms_the_first_in_nothing(house: House) -> None:
    controller = await house.running()
    with pytest.raises(StartError, match="a controller already runs"):
        await house.controller().start()
    assert phases(controller) == {"Puppet-0": "serving", "gateway-0": "serving"}
    assert len(house.run.records()) == 2


async def test_what_runs_by_the_same_recipe_is_adopted(house: House) -> None:
    house.run.acquire()
    left = house.leave("Puppet-0~2", restarts=4)
    house.run.record([left])
    house.run.release()
    controller = await house.running()
    assert house.lines[0] == f"adopting Puppet-0~2, which runs as process {left.pid}"
    (progress,) = house.lines[1:]
    assert progress.startswith("gateway-0 is ready after ")
    assert progress.endswith("(2 of 2)")
    assert phases(controller) == {"Puppet-0~2": "serving", "gateway-0": "serving"}
    assert controller.processes["Puppet-0~2"].life.restarts == 4


async def test_what_runs_by_another_recipe_is_replaced(house: House) -> None:
    house.run.acquire()
    house.run.record([house.leave("Puppet-0", digest="older")])
    house.run.release()
    controller = await house.running()
    await controller.until(lambda: phases(controller) == {"Puppet-0~2": "serving", "gateway-0": "serving"})
    assert controller.processes["Puppet-0~2"].life.reason.startswith("it was started from another version")


async def test_a_place_that_was_being_handed_over_gets_one_new_process(house: House) -> None:
    """The last controller was killed in the middle of a replacement, and this one has yet another version of the app."""
    house.run.acquire()
    left = [house.leave("Puppet-0~2", digest="older"), house.leave("Puppet-0~3", digest="old", ready=False)]
    house.run.record(left)
    house.run.release()
    controller = await house.running()
    await controller.until(lambda: phases(controller) == {"Puppet-0~4": "serving", "gateway-0": "serving"})
    assert [birth(one.pid) for one in left] == ["", ""]
