"""Releases from the command line: built, listed, compared, verified, removed, served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kapelle.artifacts.history import Ending, History
from kapelle.artifacts.pointer import PointerLog
from kapelle.cli.project import Project
from kapelle.cli.release import run_build, run_diff, run_gc, run_list, run_show, run_verify, run_wait
from kapelle.core.rollout_messages import Pointer, Side
from kapelle.errors import ArtifactError, ConfigError, StoreError

APP = """
from pathlib import Path
import kapelle

@kapelle.service(artifact="model")
class Model:
    def __init__(self, artifact: Path) -> None: ...

    @kapelle.method
    def run(self) -> int: ...

@kapelle.app
class Sample:
    model: Model

    @kapelle.get("/")
    async def root(self) -> int:
        return await self.model.run()
"""
BARE = """
import kapelle

@kapelle.app
class Bare:
    @kapelle.get("/")
    async def root(self) -> str: ...
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.py").write_text(APP)
    (tmp_path / "artifacts" / "model").mkdir(parents=True)
    (tmp_path / "artifacts" / "model" / "weights").write_text("one")


def build(weights: str) -> None:
    Path("artifacts/model/weights").write_text(weights)
    assert run_build("sample.py", None, None) == 0


def test_once_means_that_a_store_with_a_release_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_build("sample.py", None, None, once=True) == 0
    assert "r1: " in capsys.readouterr().out
    Path("artifacts/model/weights").write_text("two")
    assert run_build("sample.py", None, None, once=True) == 0
    assert capsys.readouterr().out == "nothing to do: the store has r1 already\n"
    assert Project("sample.py", {}).releases.names == ["r1"]


def test_a_build_says_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    assert capsys.readouterr().out.splitlines() == [
        f"r1: 2 files, {3 + Path('sample.py').stat().st_size} B, verified",
        "  serve it  kapelle serve sample.py --release r1",
    ]
    build("one")
    assert capsys.readouterr().out == "nothing has changed: this is r1\n"


def test_releases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run_list("sample.py", None, as_json=False)
    assert "make one with `kapelle release build sample.py`" in capsys.readouterr().out
    build("one")
    build("two!")
    capsys.readouterr()
    run_list("sample.py", None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["release", "r1", "r2"]
    run_list("sample.py", None, as_json=True)
    code = Path("sample.py").stat().st_size
    assert [one["size"] - code for one in json.loads(capsys.readouterr().out)] == [3, 4]


def test_a_release_that_cannot_be_read_is_told_with_the_command_that_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    build("one")
    build("two")
    Path(".kapelle/store/sample/releases/r1.json").write_text("{")
    capsys.readouterr()
    assert run_list("sample.py", None, as_json=False) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("cannot be read: r1; `kapelle release show r1 --target sample.py` says why\n")


def test_a_release_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    run_show("r1", "sample.py", None, as_json=False)
    assert "model/weights" in capsys.readouterr().out
    run_show("r1", "sample.py", None, as_json=True)
    text = capsys.readouterr().out
    assert json.loads(text[text.index("{") :])["manifest"]["format"] == 1


def test_brackets_and_colons_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    odd = Path("artifacts/model/m[/x][fp16]:key:")
    odd.parent.mkdir()
    odd.write_text("two!")
    build("one")
    reason = "ValueError: expected [float32], got [/b]"
    History(Project("sample.py", {}).objects).add(Ending(release="r2", outcome="refused", reason=reason, at=1.0))
    capsys.readouterr()
    run_list("sample.py", None, as_json=False)
    run_show("r2", "sample.py", None, as_json=False)
    run_diff("r1", "r2", "sample.py", None)
    printed = "".join(capsys.readouterr().out.split())
    assert "".join(reason.split()) in printed
    assert printed.count("model/m[/x][fp16]:key:") == 2


def test_releases_that_cannot_be_read_are_not_taken_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    (manifest,) = Path(".kapelle/store").rglob("r1.json")
    manifest.write_text("")
    capsys.readouterr()
    run_list("sample.py", None, as_json=False)
    assert capsys.readouterr().out == "cannot be read: r1; `kapelle release show r1 --target sample.py` says why\n"


def test_differences_have_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    build("two!")
    assert run_diff("r1", "r1", "sample.py", None) == 0
    assert run_diff("r1", "r2", "sample.py", None) == 1
    assert "changed" in capsys.readouterr().out


def test_what_is_damaged_is_named() -> None:
    build("one")
    blobs = (path for path in Path(".kapelle/store/sample/blobs").rglob("*") if path.is_file())
    (blob,) = (path for path in blobs if path.read_text() == "one")
    blob.write_text("two")
    with pytest.raises(ArtifactError, match="model/weights"):
        run_verify("r1", "sample.py", None)


def test_what_is_current_or_tried_and_what_was_before_is_kept_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    for weights in ("one", "two", "three", "four", "five"):
        build(weights)
    project = Project("sample.py", {})
    log, history = PointerLog(project.objects), History(project.objects)
    assert log.write(Pointer(1, "r1"), "begun", 0.0)
    assert log.write(Pointer(2, "r2", "r1", side=Side("r4", 0.1)), "trial of r4", 0.0)
    history.add(Ending(release="r3", outcome="refused", reason="NaN in weights", at=1.0))
    capsys.readouterr()
    run_gc("sample.py", 1, None, dry_run=False)
    assert capsys.readouterr().out.startswith("removed r3:")
    run_list("sample.py", None, as_json=True)
    states = {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert states == {"r1": "the one before", "r2": "current", "r4": "", "r5": ""}


def test_why_a_release_was_refused_is_told_later(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    History(Project("sample.py", {}).objects).add(
        Ending(release="r1", outcome="refused", reason="NaN in weights", at=1.0)
    )
    capsys.readouterr()
    run_list("sample.py", None, as_json=False)
    assert "refused: NaN in weights" in " ".join(capsys.readouterr().out.split())


def test_old_releases_are_removed(capsys: pytest.CaptureFixture[str]) -> None:
    for weights in ("one", "two", "three"):
        build(weights)
    with pytest.raises(ConfigError, match="--keep is 0; expected at least 1"):
        run_gc("sample.py", 0, None, dry_run=False)
    capsys.readouterr()
    run_gc("sample.py", 1, None, dry_run=True)
    run_gc("sample.py", 1, None, dry_run=False)
    run_gc("sample.py", 1, None, dry_run=False)
    assert capsys.readouterr().out.splitlines() == [
        "would remove r1, r2", "removed r1, r2: 6 B are free again", "there is nothing to remove",
    ]  # fmt: skip
    with pytest.raises(StoreError, match="there are r3"):
        run_show("r1", "sample.py", None, as_json=False)


def test_the_release_of_an_app_without_artifacts_is_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "bare" / "app.py"
    app.parent.mkdir()
    app.write_text(BARE)
    run_build("bare", None, None)
    assert capsys.readouterr().out.startswith(f"r1: 1 file, {len(BARE)} B, verified")
    app.write_text(f"{BARE}\n# Other words.\n")
    run_build("bare", None, None)
    assert run_diff("r1", "r2", "bare", None) == 1


def test_the_store_may_be_elsewhere(tmp_path: Path) -> None:
    run_build("sample.py", None, str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "releases" / "r1.json").is_file()


def test_a_release_that_is_there_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    build("one")
    assert run_wait("sample.py", None) == 0
    assert "has r1" in capsys.readouterr().out
