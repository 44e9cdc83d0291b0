"""What is wrong with an engine is said in one line, with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.docker import Docker, reason
from kapelle.errors import DeployError
from tests.unit.deploy.fake_docker import VERSION, put_docker


def test_docker_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeployError, match=r"docker is not to be found on PATH; install .*--only-write"):
        Docker()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?' >&2; exit 1",
            r"no Docker engine answers: start it",
        ),
        (
            "echo 'permission denied while trying to connect to the Docker daemon socket at unix:///docker.sock' >&2; exit 1",
            r"you may not talk to the Docker engine",
        ),
        ("echo 19.03.15", r"version 19\.03\.15; expected 20\.10 or newer.*update it"),
        ("exit 3", r"docker version failed: it said nothing"),
    ],
)
def test_engines_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    put_docker(tmp_path, monkeypatch, script)
    with pytest.raises(DeployError, match=said):
        Docker()


def test_an_engine_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapelle.deploy.docker._PATIENCE", 0.2)
    put_docker(tmp_path, monkeypatch, "exec tail -f /dev/null")
    with pytest.raises(DeployError, match=r"`docker version` has not ended after 0\.2 s"):
        Docker()


def test_lines_come_as_they_are_said_and_a_failure_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, VERSION + 'echo one; echo "ERROR: $DOCKER_BUILDKIT $2" >&2; exit 1')
    lines = Docker().lines(["build", "x"])
    assert next(lines) == "one"
    with pytest.raises(DeployError, match=r"docker build failed: ERROR: 1 x"):
        list(lines)


def test_whether_an_image_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, VERSION + 'case "$*" in *there) echo sha256:1;; *) exit 1;; esac')
    assert Docker().has("there")
    assert not Docker().has("missing")


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("x\nERROR: failed to solve: write /a: no space left on device", "the disk of the Docker engine is full"),
        ("unknown flag: --progress\nSee 'docker build --help'.", "builds without BuildKit: update it"),
        (
            "ERROR: failed to solve: python:3.11-slim: failed to resolve source metadata for docker.io/library/python",
            "the base image cannot be fetched",
        ),
        (
            "ERROR: python:3.11-slim: failed to resolve source metadata for docker.io: lookup registry: no such host",
            "the base image cannot be fetched",
        ),
    ],
)
def test_next_steps_that_are_known(said: str, step: str) -> None:
    assert step in reason(said, "build")
