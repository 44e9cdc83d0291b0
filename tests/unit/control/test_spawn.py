from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kapelle.config.orders import Holding
from kapelle.control.recipes import Recipe
from kapelle.control.spawn import spawn
from kapelle.transport.sockets import Address

# Echoes its orders and what it was given, to a file.
REPORTER = """
import json, os, socket, sys
orders = json.load(sys.stdin)
names = [socket.socket(fileno=number).getsockname() for number in (orders["work"], orders["control"])]
json.dump({
    "orders": orders, "names": names, "argv": sys.argv[1:], "session": os.getsid(0) == os.getpid(),
    "variable": os.environ.get("KAPELLE_TEST_VARIABLE"), "handles": len(os.listdir("/proc/self/fd")),
}, open(orders["report"], "w"))
"""


HOLDING = Holding("r1", [0])


def recipe(tmp_path: Path, **more: Any) -> Recipe:
    def orders(name: str, _: Holding, work: int, control: int) -> bytes:
        report = str(tmp_path / "report.json")
        return json.dumps({"name": name, "work": work, "control": control, "report": report, **more}).encode()

    (tmp_path / "reporter.py").write_text(REPORTER)
    environment = {"PYTHONPATH": str(tmp_path), "KAPELLE_TEST_VARIABLE": "la"}
    return Recipe("R-0", "replica", "R", HOLDING, "reporter", orders, environment, None, "digest")


def report(popen: subprocess.Popen[bytes], tmp_path: Path) -> dict[str, Any]:
    assert popen.wait(timeout=30) == 0
    found: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    return found


def control(tmp_path: Path) -> Address:
    return Address("unix", str(tmp_path / "c"))


def test_a_replica_gets_its_sockets_and_orders(tmp_path: Path) -> None:
    spawned = spawn(recipe(tmp_path), "R-0~2", HOLDING, control(tmp_path), Address("unix", str(tmp_path / "d")), None)
    found = report(spawned.popen, tmp_path)
    assert spawned.data == f"unix:{tmp_path / 'd'}"
    assert found["names"] == [str(tmp_path / "d"), str(tmp_path / "c")]
    assert found["orders"]["name"] == "R-0~2"
    assert found["argv"] == ["R-0~2"], "so that it is recognised in a list of processes"
    assert found["session"], "Ctrl-C does not reach it"
    assert found["variable"] == "la"


def test_sockets_listen_before_the_process_does_anything(tmp_path: Path) -> None:
    spawned = spawn(recipe(tmp_path), "R-0", HOLDING, control(tmp_path), Address("tcp", "127.0.0.1"), None)
    address = Address.parse(spawned.data)
    assert address.port != 0
    with socket.create_connection((address.host, address.port)):
        pass
    report(spawned.popen, tmp_path)


def test_a_gateway_gets_the_door(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        spawned = spawn(recipe(tmp_path), "R-0", HOLDING, control(tmp_path), None, door.fileno())
        assert spawned.data == ""
        assert report(spawned.popen, tmp_path)["names"][0] == list(door.getsockname())
        assert door.fileno() >= 0, "the controller keeps it"


def test_orders_may_be_longer_than_a_command_line(tmp_path: Path) -> None:
    folders = {str(number): "f" * 200 for number in range(5000)}
    spawned = spawn(
        recipe(tmp_path, folders=folders), "R-0", HOLDING, control(tmp_path), Address("tcp", "127.0.0.1"), None
    )
    assert report(spawned.popen, tmp_path)["orders"]["folders"] == folders


@pytest.mark.parametrize("missing", [False, True])
def test_nothing_stays_open_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, missing: bool) -> None:
    if missing:
        monkeypatch.setattr("sys.executable", str(tmp_path / "no such interpreter"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the plain system call is meant
    if missing:
        with pytest.raises(FileNotFoundError):
            spawn(recipe(tmp_path), "R-0", HOLDING, control(tmp_path), Address("tcp", "127.0.0.1"), None)
    else:
        report(
            spawn(recipe(tmp_path), "R-0", HOLDING, control(tmp_path), Address("tcp", "127.0.0.1"), None).popen,
            tmp_path,
        )
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the plain system call is meant


def test_an_address_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        spawn(
            recipe(tmp_path),
            "R-0",
            HOLDING,
            control(tmp_path),
            Address("tcp", "127.0.0.1", taken.getsockname()[1]),
            None,
        )


def test_orders_travel_without_memory_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    spawned = spawn(recipe(tmp_path), "R-0", HOLDING, control(tmp_path), Address("tcp", "127.0.0.1"), None)
    assert report(spawned.popen, tmp_path)["orders"]["name"] == "R-0"
