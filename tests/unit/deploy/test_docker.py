"""What is wrong with an engine is said in one line, with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.docker import Docker
from kapelle.errors import DeployError
from tests.unit.deploy.fake_docker import put_docker


def test_docker_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: Docker().run("version"), lambda: Docker().has("x"), lambda: list(Docker().lines("build"))):
        with pytest.raises(DeployError, match=r"there is no docker on this machine; install Docker .*--only-write"):
            ask()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?' >&2; exit 1",
            r"no Docker engine answers: start it.*DOCKER_HOST.* Cannot connect",
        ),
        (
            "echo 'permission denied while trying to connect to the Docker daemon socket at unix:///docker.sock' >&2; exit 1",
            r"you may not talk to the Docker engine",
        ),
        ("exit 3", r"^`docker version` failed: it said nothing$"),
    ],
)
def test_engines_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    put_docker(tmp_path, monkeypatch, script)
    with pytest.raises(DeployError, match=said):
        Docker().run("version")


def test_lines_come_as_they_are_said_and_a_failure_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, 'echo one; echo "ERROR: $DOCKER_BUILDKIT $2" >&2; exit 1')
    lines = Docker().lines("build", "x")
    assert next(lines) == "one"
    with pytest.raises(DeployError, match=r"^`docker build x` failed: ERROR: 1 x$"):
        list(lines)


def test_whether_an_image_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, 'case "$*" in *there) echo sha256:1;; *) exit 1;; esac')
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
    assert step in Docker().failure(["build"], said).detail


def test_of_a_failure_the_errors_are_told_and_where_there_are_none_its_end() -> None:
    said = "pulling\nError response from daemon: denied\nSee 'docker run --help'."
    assert Docker().failure(["push", "x"], said).detail == "`docker push x` failed: Error response from daemon: denied"
    assert Docker().failure(["push"], "one\ntwo").detail == "`docker push` failed: \n  one\n  two"
