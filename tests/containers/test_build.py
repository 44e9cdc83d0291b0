"""Images are built by a real engine: what is in them, what a change costs, and that they are the same each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kapelle.deploy.building import Options, build_image, build_images
from kapelle.deploy.docker import Docker as Engine
from kapelle.deploy.images import Image, Images
from kapelle.deploy.layers import layers_of
from kapelle.errors import DeployError
from tests.containers.docker import Docker
from tests.docs.documents import forget_modules
from tests.unit.deploy.sample_app import SampleApp

pytestmark = pytest.mark.timeout(600)

SMALL = 1_000_000
"""Bytes that the code of a small app weighs at most."""
KILLED_BY_TERM = 143


class Workshop:
    """An app in a folder of its own, whose images a real engine builds."""

    def __init__(self, project: Path, docker: Docker) -> None:
        self.docker = docker
        self.sample = SampleApp(project)
        self.sample.with_all()
        self.sample.write("requirements.txt", "")
        self.sample.write("requirements-build.txt", "")
        self.sample.write("requirements-build-nodeps.txt", "")
        self.built: list[Image] = []

    def plan(self) -> Images:
        forget_modules(self.sample.project)
        return self.sample.plan(name="kapelle-test-workshop")

    def build(self) -> Images:
        """All images."""
        images = self.plan()
        self.built += images.roles
        build_images(Engine(), images)
        return images

    def about(self, image: Image) -> dict[str, Any]:
        """What the engine knows of an image."""
        found: dict[str, Any] = json.loads(self.docker("image", "inspect", image.reference))[0]
        return found

    def run(self, image: Image, *command: str) -> str:
        """What a command in a container prints, as containers are run: without rights, on a file system to read."""
        limits = ("--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp")
        return self.docker("run", *limits, image.reference, *command)


@pytest.fixture
def workshop(tmp_path: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = Workshop(tmp_path, docker)
    yield found
    forget_modules(tmp_path)
    for image in found.built:
        docker("rmi", "--force", image.reference)


def test_images_are_small_safe_and_the_same_each_time(workshop: Workshop) -> None:
    images = workshop.build()
    about = workshop.about(images.gateway)
    assert about["Config"]["User"] == "10001:10001"
    assert about["Config"]["StopSignal"] == "SIGTERM"
    assert about["Config"]["Healthcheck"]["Test"] == ["CMD", "python", "-P", "-m", "kapelle.healthcheck"]
    assert about["Config"]["Labels"]["kapelle.app"] == "shop/search"
    assert [layer.what for layer in layers_of(Engine(), images.gateway.reference)] == [
        "base", "dependencies", "kapelle", "code",
    ]  # fmt: skip

    # Inside: a user without rights who owns the folders that volumes are mounted to, and no tool to build with.
    assert workshop.run(images.gateway, "id", "-u").strip() == "10001"
    said = workshop.run(images.gateway, "stat", "--format=%u", "/var/lib/kapelle/store", "/var/lib/kapelle/cache")
    assert said.split() == ["10001", "10001"]
    assert workshop.run(images.gateway, "kapelle", "--version").strip()
    assert "pip" not in workshop.run(images.gateway, "ls", "/opt/venv/bin").split()
    assert workshop.run(images.gateway, "ls", "/app/shop/search/__pycache__").split()

    # The same files are the same image, built again from nothing; what is fetched comes out of pip's cache.
    before = workshop.about(images.release)["RootFS"]["Layers"]
    build_image(Engine(), images.context, images.release, Options(more=["--no-cache"]))
    assert workshop.about(images.release)["RootFS"]["Layers"] == before


def test_a_change_of_code_makes_one_small_layer(workshop: Workshop) -> None:
    first = workshop.build()
    workshop.sample.write("parts.py", "x = 1\n")
    second = workshop.build()
    assert second.door == first.door
    assert second.gateway != first.gateway
    before, after = (workshop.about(images.gateway)["RootFS"]["Layers"] for images in (first, second))
    assert [one for one in after if one not in before] == after[-1:]
    layers = layers_of(Engine(), second.gateway.reference)
    assert (layers[-1].what, layers[-1].size < SMALL) == ("code", True)


def test_signals_reach_the_process_and_its_status_comes_back(workshop: Workshop) -> None:
    images = workshop.plan()
    workshop.built.append(images.door)
    build_image(Engine(), images.context, images.door)
    docker = workshop.docker
    assert docker.attempt("run", "--rm", images.door.reference, "sh", "-c", "exit 7").status == 7
    name = docker("run", "--detach", images.door.reference, "tail", "-f", "/dev/null")
    try:
        docker("stop", "--time=30", name)
        # dumb-init passed the signal on: tail died of it, and was not killed after the time.
        assert docker("inspect", "--format={{.State.ExitCode}}", name) == str(KILLED_BY_TERM)
    finally:
        docker("rm", "--force", name)


def test_what_cannot_be_installed_is_said(workshop: Workshop) -> None:
    workshop.sample.write("requirements.txt", "kapelle-needs-what-nobody-has==1\n")
    images = workshop.plan()
    workshop.built.append(images.gateway)
    with pytest.raises(DeployError, match=r"the stage 'dependencies' failed\n(.*\n)*.*mend the requirements\*\.txt"):
        build_image(Engine(), images.context, images.gateway)
