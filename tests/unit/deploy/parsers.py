"""The engines' own parsers, where they are at hand: Docker's client needs no engine to read files."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def _works(*command: str) -> bool:
    found = shutil.which(command[0])
    return found is not None and subprocess.run([found, *command[1:]], capture_output=True, check=False).returncode == 0


def needs_compose() -> pytest.MarkDecorator:
    """Skips where there is no ``docker compose``."""
    return pytest.mark.skipif(not _works("docker", "compose", "version"), reason="docker compose is not installed")


def needs_stack() -> pytest.MarkDecorator:
    """Skips where there is no ``docker stack config``."""
    return pytest.mark.skipif(not _works("docker", "stack", "config", "--help"), reason="docker is not installed")


def needs_kustomize() -> pytest.MarkDecorator:
    """Skips where there is no ``kubectl``."""
    return pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def needs_promtool() -> pytest.MarkDecorator:
    """Skips where there is no ``promtool``."""
    return pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
