"""A command ``docker`` that says what a test wants, for what a real engine cannot be made to say."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

VERSION = 'case "$*" in version*) echo 26.1.5; exit 0;; esac\n'


def put_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script on PATH as docker, and nothing else but the usual tools."""
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
