"""``running`` and ``running_processes`` as a user's test writes them."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kapelle
from kapelle.errors import ArtifactError, ConfigError, DeclarationError, StartError
from kapelle.testing import running, running_processes


@kapelle.service(replicas=2)
class Greeter:
    """Greets."""

    @kapelle.method
    def greet(self, name: str) -> str:
        return f"Hello, {name}!"


@kapelle.app
class Hall:
    """One endpoint, one service."""

    greeter: Greeter

    @kapelle.post("/greet")
    async def greet(self, name: str) -> dict[str, str]:
        return {"greeting": await self.greeter.greet(name)}


async def test_a_plain_instance_needs_no_system() -> None:
    assert await Greeter().greet("Ada") == "Hello, Ada!"


async def test_a_plain_app_needs_no_system_either() -> None:
    hall = Hall()
    hall.greeter = Greeter()
    assert await hall.greet("Ada") == {"greeting": "Hello, Ada!"}


async def test_a_system_answers_requests_and_calls() -> None:
    async with running(Hall) as system:
        answer = await system.client.post("/greet", json={"name": "Ada"})
        assert answer.json() == {"greeting": "Hello, Ada!"}
        assert await system.app.greeter.greet("Ada") == "Hello, Ada!"
        assert system.replicas == ["Greeter-0", "Greeter-1"]


async def test_a_system_outlives_the_death_of_a_replica() -> None:
    async with running(Hall) as system:
        await system.kill("Greeter-0")
        for _ in range(10):
            answer = await system.client.post("/greet", json={"name": "Ada"})
            assert answer.status_code == 200


async def test_settings_are_those_of_a_real_system() -> None:
    async with running(Hall, max_body=10) as system:
        answer = await system.client.post("/greet", json={"name": "a name that is too long"})
        assert answer.status_code == 413
    async with running(Hall, request_timeout="5s") as system:
        assert system.settings.request_timeout == 5.0


@pytest.mark.parametrize("runner", [running, running_processes])
async def test_settings_that_are_none_are_refused_by_name(runner: Any) -> None:
    name = runner.__name__
    with pytest.raises(ConfigError, match=rf"^{name}: unknown setting 'max_bodies'; did you mean max_body\?$"):
        async with runner(Hall, max_bodies=10):
            pass
    with pytest.raises(ConfigError, match=f"^{name}: request_timeout = 'soon': 'soon' is not a duration"):
        async with runner(Hall, request_timeout="soon"):
            pass


@pytest.mark.parametrize("process", ["kapelle.gateway.main", "kapelle.worker.main"])
async def test_a_process_that_imports_the_app_starts_no_system_of_its_own(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(process, None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(
        StartError, match=r"test_running.py, and that starts another system; put what does so below `if"
    ):
        async with running_processes(Hall):
            pass


async def test_two_systems_do_not_meet() -> None:
    async with running(Hall) as one, running(Hall) as other:
        assert one.url != other.url
        for replica in other.replicas:
            await other.kill(replica)
        assert (await one.client.post("/greet", json={"name": "Ada"})).status_code == 200
        assert (await other.client.post("/greet", json={"name": "Ada"})).status_code == 503


async def test_an_error_in_the_test_is_the_tests_error() -> None:
    with pytest.raises(ZeroDivisionError):
        async with running(Hall):
            _ = 1 // 0


@pytest.mark.parametrize("runner", [running, running_processes])
async def test_only_apps_can_be_run(runner: type) -> None:
    with pytest.raises(DeclarationError, match=r"is not an app; declare it with @kapelle\.app"):
        async with runner(Greeter):
            pass


@kapelle.service(artifact="words")
class Reader:
    """Reads its artifact."""

    def __init__(self, artifact: Path) -> None:
        self._words = (artifact / "words.txt").read_text().split()

    @kapelle.method
    def count(self) -> int:
        return len(self._words)


@kapelle.app
class Library:
    """One endpoint, one service with an artifact."""

    reader: Reader

    @kapelle.get("/count")
    async def count(self) -> int:
        return await self.reader.count()


async def test_artifacts_are_given_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no artifact 'words'"):
        async with running(Library, artifacts=tmp_path):
            pass
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "words.txt").write_text("one two three")
    async with running(Library, artifacts=tmp_path) as system:
        assert (await system.client.get("/count")).json() == 3


async def test_the_same_with_real_processes() -> None:
    async with running_processes(Hall, log_level="warning") as system:
        answer = await system.client.post("/greet", json={"name": "Ada"})
        assert answer.json() == {"greeting": "Hello, Ada!"}
