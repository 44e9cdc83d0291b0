"""An engine for the tests is fetched only where none runs and one may be started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import engine
from scripts.engine import Clients, engine_steps, not_installed, too_old, unpacked


def clients(folder: Path, script: str) -> Clients:
    """Clients of which ``docker`` is this script."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Clients({"PATH": str(folder)})


def test_an_engine_that_answers_can_be_used(tmp_path: Path) -> None:
    assert clients(tmp_path, """[ "$1" = version ] && echo '"26.1.5+dfsg1"'; exit 0""").trouble() == ""


def test_one_that_is_too_old_cannot(tmp_path: Path) -> None:
    trouble = clients(tmp_path, """[ "$1" = version ] && echo '"20.10.24"'; exit 0""").trouble()
    assert trouble == "the engine has version 20.10.24; expected 25 or newer"


@pytest.mark.parametrize("missing", ["compose", "buildx"])
def test_one_without_the_plugins_cannot(tmp_path: Path, missing: str) -> None:
    script = (
        f"""[ "$1" = version ] && echo '"26.1.5"'; [ "$1" = {missing} ] && echo "no {missing}" >&2 && exit 1; exit 0"""
    )
    assert clients(tmp_path, script).trouble() == f"no {missing}"


def test_one_that_does_not_answer_cannot(tmp_path: Path) -> None:
    assert clients(tmp_path, "echo 'Cannot connect' >&2; exit 1").trouble() == "Cannot connect"


def test_without_the_program_there_is_none(tmp_path: Path) -> None:
    assert Clients({"PATH": str(tmp_path)}).trouble().startswith("the program docker cannot be run: ")


@pytest.mark.parametrize(("version", "is_old"), [("25.0.1", False), ("28.2.2", False), ("24.9", True), ("dev", True)])
def test_versions(version: str, is_old: bool) -> None:
    assert bool(too_old(version)) is is_old


def test_nothing_is_fetched_where_an_engine_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "may_start", lambda: True)
    runs = clients(tmp_path, """[ "$1" = version ] && echo '"26.1.5"'; exit 0""")
    monkeypatch.setattr(engine, "running", lambda: runs)
    assert engine_steps() == []


@pytest.mark.parametrize("may", [True, False])
def test_one_is_fetched_where_none_runs_and_it_may_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, may: bool
) -> None:
    monkeypatch.setattr(engine, "may_start", lambda: may)
    monkeypatch.setattr(engine, "running", lambda: clients(tmp_path, "exit 1"))
    monkeypatch.setattr(engine, "not_installed", lambda *packages: ["runc"])
    steps = engine_steps()
    assert bool(steps) is may
    if may:
        packages, fetched = steps
        assert packages.commands[-1] == ["apt-get", "install", "--yes", "--no-install-recommends", "runc"]
        assert fetched.commands[0][1:3] == ["-m", "scripts.fetch_engine"]


def test_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = subprocess.CompletedProcess([], 1, "runc installed\ntini config-files\n", "no package iptables")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: listed)
    assert not_installed("iptables", "runc", "tini") == ["iptables", "tini"]


def test_the_clients_of_the_unpacked_engine_are_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/elsewhere")
    monkeypatch.setenv("DOCKER_CONTEXT", "another")
    found = unpacked(Path("/run/socket"), tmp_path).environment
    assert found["PATH"] == f"{tmp_path}/usr/bin:{tmp_path}/usr/sbin:/elsewhere"
    assert found["DOCKER_HOST"] == "unix:///run/socket"
    assert found["DOCKER_CONFIG"] == f"{tmp_path}/config"
    assert "DOCKER_CONTEXT" not in found
