from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kapelle.cli.project import NothingRuns, Project, find_running
from kapelle.control.exits import birth
from kapelle.control.rundir import Record, RunDir, System
from kapelle.errors import ConfigError, DeclarationError

APP = """
import kapelle

@kapelle.app
class Sample:
    @kapelle.get("/")
    async def root(self) -> str:
        return "here"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)


def record_process(folder: str, target: str, pid: int, born: str) -> None:
    """Leave a run folder as a controller does that has started a process."""
    run = RunDir(Path(folder))
    run.path.mkdir(parents=True)
    run.record_system(System(target=target, url="http://127.0.0.1:1"))
    run.record(
        [Record(name="a", role="replica", service="A", shards=[0], pid=pid, born=born, data="", control="unix:a")]
    )


def record_living(folder: str, target: str) -> None:
    record_process(folder, target, os.getpid(), birth(os.getpid()))


def record_dead(folder: str, target: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = birth(process.pid)
    process.communicate()
    record_process(folder, target, process.pid, born)


def test_artifacts_lie_beside_the_app() -> None:
    assert Project("app.py", {}).artifacts == Path.cwd() / "artifacts"
    assert Project("app.py", {"artifacts": "models"}).artifacts == Path.cwd() / "models"


def test_run_folders_are_named_for_the_app() -> None:
    assert Project("app.py", {}).run.path == Path.cwd() / ".kapelle" / "app"
    assert Project("app.py:Sample", {}).run.path == Path.cwd() / ".kapelle" / "app.Sample"
    assert Project("app.py", {"run_dir": "run"}).run.path == Path.cwd() / "run"


def test_loads_the_app() -> None:
    assert Project("app.py", {}).load().name == "Sample"


def test_refuses_names_that_no_other_process_could_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^the app = 'caf\\udce9.py': expected text in UTF-8$"):
        Project("caf\udce9.py", {})
    (tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(tmp_path / "caf\udce9")
    with pytest.raises(ConfigError, match=r"^the current folder = .*caf\\udce9': expected text in UTF-8$"):
        Project("../app.py", {})


def test_refuses_a_file_that_is_not_there() -> None:
    with pytest.raises(DeclarationError, match=r"other\.py: no such file"):
        Project("other.py", {})


def test_finds_the_only_system_of_the_folder() -> None:
    record_living(".kapelle/app", "app.py")
    record_dead(".kapelle/other", "other.py")
    found = find_running(None, None)
    assert found.target == "app.py"
    assert [one.name for one in found.records] == ["a"]


def test_asks_which_of_several_is_meant() -> None:
    record_living(".kapelle/app", "app.py")
    record_living(".kapelle/other", "other.py")
    with pytest.raises(ConfigError, match=r"several systems run from this folder: app\.py, other\.py; name the one"):
        find_running(None, None)
    assert find_running("app.py", None).run.path == Path.cwd() / ".kapelle" / "app"


def test_finds_a_system_by_its_run_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    record_living("elsewhere", "app.py")
    assert find_running(None, "elsewhere").target == "app.py"
    monkeypatch.setenv("KAPELLE_RUN_DIR", "elsewhere")
    assert find_running(None, None).target == "app.py"


def test_what_has_ended_does_not_run() -> None:
    record_dead(".kapelle/app", "app.py")
    with pytest.raises(NothingRuns, match="nothing runs from this folder"):
        find_running(None, None)
    with pytest.raises(NothingRuns, match=r"nothing runs for app\.py; start it with `kapelle serve app\.py`"):
        find_running("app.py", None)


@pytest.mark.parametrize("target", ["app.py", None])
def test_what_runs_for_another_user_is_not_taken_for_nothing(
    monkeypatch: pytest.MonkeyPatch, target: str | None
) -> None:
    record_living(".kapelle/app", "app.py")
    # Root may enter any folder, and tests may run as root.
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(RunDir, "records", lambda _: [])
    with pytest.raises(ConfigError, match=r"\.kapelle/app belongs to another user") as refused:
        find_running(target, None)
    assert not isinstance(refused.value, NothingRuns)
