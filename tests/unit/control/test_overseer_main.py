"""The controller's process, from its beginning to SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.config.settings import Settings
from kapelle.control.overseer_main import oversee
from kapelle.control.plan import Stock
from kapelle.control.rundir import RunDir
from kapelle.declare.code import Code
from kapelle.errors import StartError
from kapelle.transport.health_port import serve_health
from tests.unit.control.containers import Engine, app

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"), pytest.mark.usefixtures("collected")]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    (tmp_path / "app.py").write_text("the code of the image")
    return Engine(tmp_path, monkeypatch, Code("app.py", {"app.py": tmp_path / "app.py"}))


def run(engine: Engine, settings: Settings) -> int:
    stock = Stock(engine.folder / "artifacts", str(engine.folder / "store"), engine.folder / "cache")
    return oversee("app.py", app(), settings, stock, engine.objects, RunDir(engine.folder / "run"))


def test_it_follows_the_store_until_it_is_told_to_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answers: list[bytes] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port)) as channel:
            channel.sendall(b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n")
            with channel.makefile("rb") as answer:
                answers.append(answer.read())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)

    async def served(*given: object) -> asyncio.Server:
        server = await serve_health(*given)  # type: ignore[arg-type]  # as they came
        thread.start()
        return server

    monkeypatch.setattr("kapelle.control.overseer_main.serve_health", served)
    with capture_logs() as logs:
        assert run(engine, Settings(health_port=port)) == 0
    thread.join()
    assert b"kapelle_processes" in answers[0]
    events = [said["event"] for said in logs]
    assert (events[0], events[-1]) == ("follows the store", "stopped; what runs goes on")
    assert not (engine.folder / "run").exists(), "it leaves nothing behind"


def test_a_port_that_is_taken_is_named_by_its_setting(engine: Engine) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(StartError, match=r"^health_port: cannot listen on .* in use; .*KAPELLE_HEALTH_PORT"),
    ):
        run(engine, Settings(health_port=other.getsockname()[1]))


def test_a_second_controller_of_the_same_folder_is_refused(engine: Engine) -> None:
    first = RunDir(engine.folder / "run")
    first.acquire()
    with pytest.raises(StartError, match="a controller already runs"):
        run(engine, Settings(health_port=0))
    first.release()
