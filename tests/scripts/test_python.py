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
