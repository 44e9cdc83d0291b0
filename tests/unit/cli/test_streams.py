"""A command does its work with the streams it is given, and says what is wrong with them in a line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_KAPELLE = "from kapelle.cli.main import main; main()"


def shell(line: str, folder: Path, code: str = _KAPELLE, **environment: str) -> subprocess.CompletedProcess[str]:
    """What came of a line for the shell, in which ``"$@"`` is a command of ours."""
    return subprocess.run(
        ["/bin/bash", "-c", line, "bash", sys.executable, "-P", "-c", code],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_there_all_the_same(closed: str, tmp_path: Path) -> None:
    code = """
import os, subprocess, sys, uvloop
from kapelle.cli.streams import settle_streams

settle_streams()
sys.stdin.read(), sys.stdout.write("out"), sys.stderr.write("err"), sys.__stderr__.flush()
subprocess.run([sys.executable, "-c", "import os; [os.fstat(number) for number in range(3)]"], check=True)

async def nothing():
    pass

uvloop.run(nothing())
"""
    done = shell(f'exec "$@" {closed}', tmp_path, code)
    assert done.returncode == 0, done.stderr


def test_the_exit_status_is_the_same_without_streams(tmp_path: Path) -> None:
    assert shell('exec "$@" status <&- >&- 2>&-', tmp_path).returncode == 3


def test_characters_that_a_terminal_lacks_are_written_otherwise(tmp_path: Path) -> None:
    (tmp_path / "kapelle.toml").write_text('node = "küche"')
    done = shell('exec "$@" config', tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r'"k\xfcche"' in done.stdout


@pytest.mark.parametrize("verb", ["config", "--help", "--version"])
def test_a_reader_that_goes_away_is_no_traceback(verb: str, tmp_path: Path) -> None:
    done = shell(f'"$@" {verb} | :', tmp_path)
    assert done.stderr == ""


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    done = shell('"$@" config > /dev/full', tmp_path)
    assert done.returncode == 1
    assert done.stderr == "kapelle: [Errno 28] No space left on device\n"


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    done = shell('mkdir gone && cd gone && rmdir ../gone && exec "$@" status', tmp_path)
    assert done.returncode == 1
    assert done.stderr == "kapelle: the folder that this runs in has been removed; change to another one\n"
