"""What an image consists of, in words: how large the base is, the dependencies, Kapelle, the code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kapelle.deploy.docker import Docker

BASE = "base"
_WORDS = {
    "/opt/venv": "dependencies",
    "/opt/kapelle": "kapelle",
    "/app": "code",
    "/opt/build": "dependencies of the builder",
    "/material": "builder and data",
    "/opt/tests": "dependencies of the tests",
    "/questions": "tests",
}
_COPIED = re.compile(r"COPY (\S+) ")


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of an image: what it is, and its bytes. ``made`` are the instructions, by which two images share it."""

    what: str
    size: int
    made: tuple[str, ...]


def layers_of(docker: Docker, image: str) -> list[Layer]:
    """The layers of an image, lowest first; what lies below the first that is ours is one, the base.

    Raises:
        DeployError: the engine has no such image.
    """
    said = docker.run("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    return in_words([line.partition("\t") for line in reversed(said.splitlines())])


def in_words(history: list[tuple[str, str, str]]) -> list[Layer]:
    """Layers from what the engine says of them: size, tab, instruction; lowest first."""
    found: list[Layer] = []
    below = 0
    begun: list[str] = []
    for size, _, made in history:
        begun.append(made)
        copied = _COPIED.search(made)
        what = _WORDS.get(copied[1]) if copied else None
        if what is None:
            below += int(size)
            continue
        if not found:
            found.append(Layer(BASE, below, tuple(begun[:-1])))
            below = 0
        found.append(Layer(what, int(size) + (below if len(found) > 1 else 0), tuple(begun)))
        below = 0
    return found or [Layer(BASE, below, tuple(begun))]
