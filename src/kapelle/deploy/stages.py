"""The stages of a Dockerfile: what each is made of, and so by which digest its result is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from kapelle.deploy.context import Content, digest_of


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its instructions, the stages that they take from, and the files or folders of the context they copy."""

    name: str
    text: str
    takes: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


class Stages:
    """All stages of a Dockerfile, in its order."""

    def __init__(self, head: str, stages: list[Stage], files: Mapping[str, Content]) -> None:
        self._head = head
        self._stages = {stage.name: stage for stage in stages}
        self._files = {name: digest_of(content) for name, content in sorted(files.items())}

    @property
    def text(self) -> str:
        """The Dockerfile."""
        return "\n\n".join([self._head.strip(), *(stage.text.strip() for stage in self._stages.values())]) + "\n"

    def digest(self, name: str) -> str:
        """By what a stage's result is known: its instructions, the files it copies, and all that it takes from."""
        stage = self._stages[name]
        digest = hashlib.sha256(f"{self._head}\n{stage.text}".encode())
        for file, content in self._files.items():
            if any(file == one or (one.endswith("/") and file.startswith(one)) for one in stage.copies):
                digest.update(f"{file} {content}\n".encode())
        for other in stage.takes:
            digest.update(self.digest(other).encode())
        return digest.hexdigest()
