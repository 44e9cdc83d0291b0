"""Releases that bring their code: apps written to files, each version of which says which one it is."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kapelle.artifacts.releases import Releases
from kapelle.artifacts.stores import open_objects
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target

APP = """
from pathlib import Path

import kapelle
from words import VERSION


@kapelle.service(replicas=2, artifact="book")
class Reader:
    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.method
    async def read(self) -> str:
        return VERSION + self.edition


@kapelle.app(artifact="book")
class Studio:
    reader: Reader

    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.post("/read")
    async def read(self, x: int) -> list[str | int]:
        return [x, VERSION + self.edition, await self.reader.read(), await self.reader.read()]

    @kapelle.golden
    async def has_words(self) -> None:
        assert (await self.reader.read()) != "", "no words"
"""


class Studio:
    """A store, and a folder in which the app changes."""

    def __init__(self, folder: Path, store: str = "") -> None:
        self.folder = folder
        (self.folder / "artifacts" / "book").mkdir(parents=True, exist_ok=True)
        self.store = store or str(folder.with_name("store"))
        self.releases = Releases(open_objects(self.store))
        self.write("v0", "local")

    @property
    def target(self) -> str:
        return str(self.folder / "app.py")

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def write(self, version: str, edition: str, app: str = APP) -> None:
        """Another text of the app, with other artifacts."""
        (self.folder / "app.py").write_text(app)
        (self.folder / "words.py").write_text(f"VERSION = {version!r}\n")
        (self.folder / "notes.txt").write_text("no code: it stays behind")
        (self.artifacts / "book" / "edition").write_text(edition)

    async def release(self, version: str, edition: str, app: str = APP) -> str:
        """Make a release of another text, as people do; what is on the machine stays as it is. The release's name."""
        aside = Studio(self.folder.with_name("aside"), store=self.store)
        aside.write(version, edition, app)
        command = [str(Path(sys.executable).with_name("kapelle")), "release", "build", "app.py", "--store", self.store]
        done = await asyncio.create_subprocess_exec(*command, cwd=aside.folder)
        assert await done.wait() == 0
        return self.releases.names[-1]

    def load(self) -> AppSpec:
        """The app on the machine, imported here."""
        return Target(self.target).load()


@dataclass
class VersionWitness:
    """Checks that every answer is of one version in all its parts, and counts of which."""

    seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, number: int, answer: bytes) -> bool:
        x, *versions = json.loads(answer)
        self.seen[versions[0]] += 1
        return x == number and len(set(versions)) == 1
