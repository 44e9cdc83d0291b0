"""Steps run once for their inputs, again when those change, and never two at a time."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import steps
from scripts.steps import ROOT, Step, digest, digest_files, run_steps

Make = Callable[..., Step]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A step that adds a line to ``log``; its product is ``log``, its lock a folder of its own."""
    monkeypatch.setattr(steps, "ROOT", tmp_path)

    def step(made_of: str = "inputs", *commands: str) -> Step:
        programs = [[sys.executable, "-c", each] for each in commands or ("open('log', 'a').write('ran\\n')",)]
        return Step("Doing it", tmp_path / "stamps" / "it", digest(made_of), programs, product=tmp_path / "log")

    return step


def runs(folder: Path) -> int:
    return (folder / "log").read_text().count("ran")


def test_runs_once_for_its_inputs(make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_steps([make()])
    assert "==> Doing it\n    done in" in capfd.readouterr().out
    run_steps([make()])
    assert runs(tmp_path) == 1
    assert capfd.readouterr().out == ""


def test_runs_again_when_its_inputs_change(make: Make, tmp_path: Path) -> None:
    run_steps([make("one")])
    run_steps([make("two")])
    assert runs(tmp_path) == 2


def test_runs_again_when_its_product_is_gone(make: Make, tmp_path: Path) -> None:
    run_steps([make()])
    (tmp_path / "log").unlink()
    run_steps([make()])
    assert runs(tmp_path) == 1


def test_a_failure_says_which_command_and_is_tried_again(make: Make, tmp_path: Path) -> None:
    run_steps([make("one")])
    with pytest.raises(SystemExit, match=r"Doing it: failed with exit status 3\n.*raise SystemExit"):
        run_steps([make("two", "raise SystemExit(3)")])
    run_steps([make("one")])  # its stamp went when the other version of the step began
    assert runs(tmp_path) == 2


def test_after_a_failure_nothing_else_runs(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_steps([make("one", "raise SystemExit(3)"), make("two")])
    assert not (tmp_path / "log").exists()


def test_a_second_make_waits_and_finds_the_work_done(make: Make, tmp_path: Path) -> None:
    step = make()
    with (tmp_path / ".make.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-c", SECOND, tmp_path, step.digest], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        assert "Waiting for another `make`" in second.stdout.readline()
        step.product.touch()
        step.stamp.parent.mkdir()
        step.stamp.write_text(step.digest)
    rest, _ = second.communicate()
    assert rest == ""
    assert second.returncode == 0


# The command of this step fails, should it run after all.
SECOND = """
import sys
from pathlib import Path
from scripts import steps

steps.ROOT = folder = Path(sys.argv[1])
steps.run_steps([steps.Step("Doing it", folder / "stamps" / "it", sys.argv[2], [["false"]], folder / "log")])
"""


def test_digests_know_the_borders_of_their_parts() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_digests_of_files_know_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    assert digest_files([one]) != digest_files([two])
    before = digest_files([one, two])
    assert digest_files([two, one]) == before
    one.write_text("changed")
    assert digest_files([one, two]) != before
