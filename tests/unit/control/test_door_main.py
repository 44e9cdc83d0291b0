"""The process that keeps a machine's door, with real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.config.settings import Settings
from kapelle.control.door_main import keep_door
from kapelle.errors import ConfigError, StartError
from kapelle.transport.health_port import serve_health
from kapelle.transport.shared_door import take_door

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"), pytest.mark.usefixtures("collected")]


def settings(folder: Path, **given: object) -> Settings:
    return Settings(**{"port": 0, "health_port": 0, "door": str(folder), **given})  # type: ignore[arg-type]  # values of any setting


def keep(settings: Settings, while_it_runs: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    """Keep a door, and end it by SIGTERM when something has been done from another thread."""

    def work() -> None:
        while_it_runs()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=work)

    async def served(*given: object) -> asyncio.Server:
        server = await serve_health(*given)  # type: ignore[arg-type]  # as they came
        thread.start()
        return server

    monkeypatch.setattr("kapelle.control.door_main.serve_health", served)
    status = keep_door(settings)
    thread.join()
    return status


def test_it_lends_the_door_until_it_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[socket.socket] = []
    with capture_logs() as logs:
        assert keep(settings(tmp_path), lambda: taken.append(take_door(tmp_path)), monkeypatch) == 0
    (door,) = taken
    assert door.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    door.close()
    assert logs[0]["event"] == "keeps the door"


def test_it_says_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answers: list[bytes] = []

    def ask() -> None:
        for path in (b"/readyz", b"/livez", b"/metrics"):
            with socket.create_connection(("127.0.0.1", port)) as channel:
                channel.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: here\r\n\r\n")
                with channel.makefile("rb") as answer:
                    answers.append(answer.read())

    assert keep(settings(tmp_path, health_port=port), ask, monkeypatch) == 0
    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 3
    assert b"kapelle_door_gateways" in answers[2]


def test_without_a_folder_nobody_would_find_it() -> None:
    with pytest.raises(
        ConfigError, match=r"door is not set: name the folder that the gateways share, with KAPELLE_DOOR"
    ):
        keep_door(Settings())


@pytest.mark.parametrize("setting", ["port", "health_port"])
def test_a_port_that_is_taken_is_named_by_its_setting(setting: str, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(StartError, match=rf"^{setting}: cannot listen on .* in use; .*KAPELLE_{setting.upper()}"),
    ):
        keep_door(settings(tmp_path, **{setting: other.getsockname()[1]}))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StartError, match=r"^door: gateways cannot find the door in .*/none: No such file or directory; "
    ):
        keep_door(settings(tmp_path / "none"))


def test_a_path_that_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(StartError, match="path too long"):
        keep_door(settings(folder))
