"""What a container begins with: its settings, its secret, the current release; and what stops it before that."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kapelle.artifacts.pointer import PointerLog
from kapelle.cli import start_verbs
from kapelle.cli.project import Project
from kapelle.cli.start_verbs import start_controller, start_door, start_gateway, start_replica
from kapelle.control import engine
from kapelle.core.rollout_messages import Pointer
from kapelle.errors import ConfigError
from tests.unit.cli.served import KAPELLE

APP = """
import kapelle

@kapelle.service
class Encoder:
    @kapelle.method
    def embed(self) -> int:
        return 1

@kapelle.service(inline=True)
class Inner:
    @kapelle.method
    def get(self) -> int:
        return 1

@kapelle.app
class Sample:
    encoder: Encoder
    inner: Inner

    @kapelle.get("/")
    async def root(self) -> str:
        return "here"
"""


class Become(BaseException):
    """This process would be another one now."""


class Container:
    """A container's environment; ``became`` is what it was about to become."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.became: list[tuple[Any, ...]] = []
        (folder / "app.py").write_text(APP)
        (folder / "secret").write_text("0123456789abcdef" * 2)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("KAPELLE_SECRET_FILE", str(folder / "secret"))
        monkeypatch.setattr(engine, "become_gateway", self._become)
        monkeypatch.setattr(engine, "become_replica", self._become)
        monkeypatch.setattr(start_verbs, "oversee", self._become)
        monkeypatch.setattr(start_verbs, "configure", lambda **_: None)

    def _become(self, *given: object) -> None:
        self.became.append(given)
        raise Become

    def point(self, release: str) -> None:
        assert PointerLog(Project("app.py", {}).objects).write(Pointer(1, release, author="somebody"), "", 0.0)


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield Container(tmp_path, monkeypatch)
    for one, handler in before.items():
        signal.signal(one, handler)


def test_each_begins_with_the_current_release(container: Container) -> None:
    container.point("r7")
    with pytest.raises(Become):
        start_gateway("app.py")
    target, _, stock, release, _ = container.became[-1]
    assert (target, release) == ("app.py", "r7")
    with pytest.raises(Become):
        start_replica("app.py", "Encoder")
    assert [container.became[-1][1], container.became[-1][4]] == ["Encoder", "r7"]
    with pytest.raises(Become):
        start_controller("app.py")
    assert container.became[-1][1].name == "Sample"
    assert container.became[-1][3] == stock


@pytest.mark.parametrize("start", [start_gateway, start_controller, lambda target: start_replica(target, "Encoder")])
def test_without_a_secret_nothing_begins(start: Any, container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAPELLE_SECRET_FILE")
    with pytest.raises(ConfigError, match="secret_file is not set"):
        start("app.py")
    assert not container.became


def test_a_replica_leaves_the_app_to_the_process_that_it_becomes(container: Container) -> None:
    container.point("r7")
    Path("app.py").write_text("raise RuntimeError('imported')")
    with pytest.raises(Become):
        start_replica("app.py", "Encoder")


def test_a_door_needs_its_folder_and_no_secret(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAPELLE_SECRET_FILE")
    with pytest.raises(ConfigError, match="door is not set"):
        start_door()


def test_one_that_waits_for_a_release_ends_at_once(container: Container) -> None:
    environment = {**os.environ, "KAPELLE_LOG_FORMAT": "json"}
    with subprocess.Popen(
        [KAPELLE, "start", "gateway", "app.py"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "`kapelle release build app.py` makes one" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""
