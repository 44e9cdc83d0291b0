from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kapelle.deploy import supply as supplying
from kapelle.deploy.docker import Docker
from kapelle.deploy.images import Image
from kapelle.deploy.supply import supply
from kapelle.deploy.topology import Role
from kapelle.errors import DeployError
from tests.unit.deploy.systems import system_of

SYSTEM = system_of("question_search")
IMAGES = SYSTEM.images


class Engine(Docker):
    """An engine with some images; ``did`` is what it was told."""

    def __init__(self, has: set[str]) -> None:
        self.there = has
        self.did: list[str] = []

    def has(self, image: str) -> bool:
        return image in self.there

    def lines(self, *arguments: str) -> Iterator[str]:
        self.did.append(" ".join(arguments))
        yield "done"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def build(docker: Docker, context: Path, image: Image) -> None:
        names.append(image.target)

    monkeypatch.setattr(supplying, "build_image", build)
    return names


def test_builds_what_is_missing_once(built: list[str]) -> None:
    said: list[str] = []
    supply(Engine({IMAGES.door.reference}), SYSTEM, SYSTEM.parts, said.append)
    assert built == ["release", "gateway", "tests"]
    assert said[0] == f"building {IMAGES.release.reference}"


def test_builds_what_is_to_run_and_nothing_else(built: list[str]) -> None:
    supply(Engine(set()), SYSTEM, SYSTEM.of(Role.GATEWAY, Role.CONTROLLER), lambda _: None)
    assert built == ["gateway"]


def test_pushes_all_where_it_is_asked_to(built: list[str]) -> None:
    engine = Engine({image.reference for image in IMAGES.roles})
    supply(engine, SYSTEM, SYSTEM.parts, lambda _: None, push=True)
    assert built == []
    assert engine.did[0] == f"push --quiet {IMAGES.door.reference}"
    assert len(engine.did) == 4


def test_an_image_that_cannot_be_built_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(docker: Docker, context: Path, image: Image) -> None:
        raise DeployError(f"{image.reference} cannot be built")

    monkeypatch.setattr(supplying, "build_image", build)
    with pytest.raises(DeployError, match="door:0123456789ab cannot be built"):
        supply(Engine(set()), SYSTEM, SYSTEM.parts, lambda _: None)
