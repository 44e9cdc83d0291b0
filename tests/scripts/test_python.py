"""scripts/python.sh finds a Python that will do, or says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

PROBE = "import sys; print(sys.executable)"


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script in ``folder``, with no other programs on the path than those in it."""
    shell = shutil.which("sh")
    assert shell is not None
    return subprocess.run(
        [shell, ROOT / "scripts" / "python.sh", "-c", PROBE],
        cwd=folder,
        env={"PATH": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def install(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_takes_the_one_of_the_environment(tmp_path: Path) -> None:
    install(tmp_path / ".venv/bin/python", "echo the environment")
    install(tmp_path / "python3", "echo another")
    assert start(tmp_path).stdout == "the environment\n"


def test_takes_the_one_it_is_told(tmp_path: Path) -> None:
    install(tmp_path / ".venv/bin/python", "echo the environment")
    assert start(tmp_path, PYTHON=sys.executable).stdout.strip() == sys.executable


def test_passes_over_those_that_do_not_start(tmp_path: Path) -> None:
    install(tmp_path / "python3", "exit 127")
    install(tmp_path / "python3.13", f'exec {sys.executable} "$@"')
    assert start(tmp_path).stdout.strip() == sys.executable


def paced(path: Path, pace: int) -> None:
    """Install this very interpreter as one of its own that takes ``pace`` microseconds for the loop."""
    script = f"""case "$2" in
    *realpath*) echo "3.11 {path}" ;;
    *process_time*) echo {pace} ;;
    {PROBE!r}) echo {path} ;;
    *) exec {sys.executable} "$@" ;;
esac"""
    install(path, script)


@pytest.mark.parametrize(("pace", "taken"), [(1000, "python3.12"), (1900, "python3")])
def test_takes_another_only_if_that_is_faster_by_a_fifth(tmp_path: Path, pace: int, taken: str) -> None:
    paced(tmp_path / "python3", 2000)
    paced(tmp_path / "python3.13", 2100)
    paced(tmp_path / "python3.12", pace)
    found = start(tmp_path)
    assert found.stdout == f"{tmp_path / taken}\n"
    assert ("Taking python3.12" in found.stderr) == (taken == "python3.12")
    assert start(tmp_path, PYTHON="python3").stdout == f"{tmp_path / 'python3'}\n"


def test_finds_the_one_behind_another_on_the_path(tmp_path: Path) -> None:
    paced(tmp_path / "a place/python3", 2000)
    paced(tmp_path / "b/python3", 1000)
    found = start(tmp_path, PATH=f"{tmp_path / 'a place'}:{tmp_path / 'b'}")
    assert found.stdout == f"{tmp_path / 'b/python3'}\n"
    assert "make PYTHON=python3 takes that one" in found.stderr


def test_measures_the_real_ones(tmp_path: Path) -> None:
    install(tmp_path / "python3", f'exec {sys.executable} "$@"')
    assert start(tmp_path).stdout.strip() == sys.executable


def test_says_what_it_tried(tmp_path: Path) -> None:
    found = start(tmp_path)
    assert found.returncode == 1
    assert "Needed: Python 3.11 or newer with venv and pip" in found.stderr
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        assert f"{name}: not found" in found.stderr


@pytest.mark.parametrize(
    ("rewrite", "complaint"),
    [
        ("sys.version_info = (3, 10, 4)", "is Python 3.10, needed is 3.11 or newer"),
        ("sys.modules['ensurepip'] = None", f"apt install python3.{sys.version_info.minor}-venv"),
    ],
)
def test_says_why_one_will_not_do(tmp_path: Path, rewrite: str, complaint: str) -> None:
    # This very interpreter, made to look old or incomplete.
    shift = f"import sys; {rewrite}; exec(sys.argv[1])"
    install(tmp_path / "python3", f'exec {sys.executable} -c "{shift}" "$2"')
    found = start(tmp_path)
    assert found.returncode == 1
    assert complaint in found.stderr
