"""A container becomes the process that is meant: with its ports, its orders, and a name that says where it is."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kapelle.config.orders import GatewayOrders, Holding, WorkerOrders, decode_gateway, decode_worker
from kapelle.config.settings import Settings
from kapelle.control import engine
from kapelle.control.engine import become_gateway, become_replica, check_credentials, leave_on_signals, process_name
from kapelle.control.plan import Stock
from kapelle.errors import ConfigError, StartError
from kapelle.transport.shared_door import DoorKeeper

# What a process that goes on as another one has open, or one that ends, the system closes.
pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"), pytest.mark.usefixtures("collected")]

FREE = Settings(data_port=0, control_port=0, health_port=0, port=0, node="node-a")
STOCK = Stock(Path("artifacts"), "store", Path("cache"))


class Become(BaseException):
    """This process would be another one now."""


@dataclass
class Exec:
    """What was about to take this process's place."""

    command: list[str]
    environment: dict[str, str]
    orders: bytes
    listening: list[bool]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exec]]:
    """Standard input is given back at the end."""
    found: list[Exec] = []
    mine = os.dup(0)

    def execve(_: str, command: list[str], environment: dict[str, str]) -> None:
        orders = os.read(0, 1 << 20)
        read = decode_worker(orders) if command[3] == "kapelle.worker.main" else decode_gateway(orders)
        assert read.network is not None
        numbers = [read.control, read.network.health, read.data if isinstance(read, WorkerOrders) else read.http]
        listening = []
        for number in numbers:
            with socket.socket(fileno=os.dup(number)) as one:
                listening.append(bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)))
            assert os.get_inheritable(number)
        found.append(Exec(command, environment, orders, listening))
        raise Become

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(socket, "gethostname", lambda: "3f2a9b1c0d4e")
    yield found
    os.dup2(mine, 0)
    os.close(mine)


def test_a_replica_begins_with_the_current_release(found: list[Exec]) -> None:
    with pytest.raises(Become):
        become_replica("app.py", "Encoder", FREE, STOCK, "r7")
    (one,) = found
    assert one.command == [sys.executable, "-P", "-m", "kapelle.worker.main", "encoder-3f2a9b1c0d4e"]
    assert one.listening == [True] * 3
    assert "OMP_NUM_THREADS" in one.environment
    told = decode_worker(one.orders)
    assert (told.service, told.replica, told.holding) == ("Encoder", "encoder-3f2a9b1c0d4e", Holding("r7", [0]))
    assert told.network is not None
    assert told.network.node == "node-a"


def gateway(found: list[Exec], settings: Settings, run_dir: Path) -> GatewayOrders:
    with pytest.raises(Become):
        become_gateway("app.py", settings, STOCK, "r7", run_dir)
    assert found[-1].command[3:] == ["kapelle.gateway.main", "gateway-3f2a9b1c0d4e"]
    assert found[-1].listening == [True] * 3
    return decode_gateway(found[-1].orders)


def test_a_gateway_listens_by_itself(found: list[Exec], tmp_path: Path) -> None:
    told = gateway(found, FREE, tmp_path / "run")
    assert told.door == str(tmp_path / "run" / "gateway-3f2a9b1c0d4e.door")
    assert told.release == "r7"


async def test_a_gateway_takes_the_door_that_is_kept(found: list[Exec], tmp_path: Path) -> None:
    door = engine.open_port(FREE)
    taken: list[socket.socket] = []

    def take(_: Path) -> socket.socket:
        taken.append(door.dup())
        return taken[0]

    keeper = DoorKeeper(tmp_path, door)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "take_door", take)
        told = gateway(
            found, Settings(data_port=0, control_port=0, health_port=0, door=str(tmp_path)), tmp_path / "run"
        )
    assert told.http == taken[0].fileno()
    assert told.door == str(tmp_path / "gateway-3f2a9b1c0d4e.door")
    taken[0].close()
    keeper.close()
    door.close()


@pytest.mark.parametrize("setting", ["data_port", "control_port", "health_port"])
def test_a_port_that_is_taken_is_named_by_its_setting(setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(**{"data_port": 0, "control_port": 0, "health_port": 0, setting: other.getsockname()[1]})
        with pytest.raises(StartError) as error:
            become_replica("app.py", "Encoder", settings, STOCK, "r7")
    assert error.value.detail.startswith(f"{setting}: cannot listen on 127.0.0.1:{getattr(settings, setting)}: ")
    assert f"KAPELLE_{setting.upper()}" in error.value.detail


def test_the_port_of_clients_is_named_as_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(control_port=0, health_port=0, port=other.getsockname()[1])
        with pytest.raises(StartError, match=r"port: cannot listen on .* in use; .* KAPELLE_PORT"):
            become_gateway("app.py", settings, STOCK, "r7", tmp_path / "run")


@pytest.mark.parametrize("setting", ["door", "run_dir"])
def test_a_folder_that_cannot_be_used_is_named_by_its_setting(setting: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "below"
    settings = Settings(control_port=0, health_port=0, door=str(folder) if setting == "door" else "")
    with pytest.raises(
        StartError, match=rf"{setting}: .*/below cannot be used: Not a directory; .*KAPELLE_{setting.upper()}"
    ):
        become_gateway("app.py", settings, STOCK, "r7", folder)


def test_a_name_begins_with_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, name in (("3f2a", "question-search-3f2a"), ("question-search-5b6c", "question-search-5b6c")):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        assert process_name("QuestionSearch") == name


def test_without_a_secret_nothing_begins() -> None:
    with pytest.raises(ConfigError, match=r"secret_file is not set: .*`openssl rand -hex 32`.*KAPELLE_SECRET_FILE"):
        check_credentials(Settings())


def test_a_secret_has_to_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"secret_file = .*: No such file"):
        check_credentials(Settings(secret_file=str(tmp_path / "none")))
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    check_credentials(Settings(secret_file=str(tmp_path / "secret")))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_anything_has_begun_is_an_end(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    try:
        leave_on_signals()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(number)
        assert end.value.code == 0
    finally:
        for one, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(one, handler)
