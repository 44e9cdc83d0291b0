"""Releases of the library, and a witness of which of them answers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kapelle.artifacts.releases import Releases
from kapelle.artifacts.stores import open_objects
from kapelle.testing import ProcessSystem
from kapelle.wire import wishes
from tests.integration.processes.load import Load

LIBRARY = f"{Path(__file__).with_name('library.py')}:Library"


class Shelf:
    """A store and the folders that its releases were made of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "store")
        self.releases = Releases(open_objects(self.store))
        self._editions = 0

    def write(self, edition: str, pages: int) -> Path:
        """The artifacts of an edition."""
        self._editions += 1
        folder = self.folder / f"artifacts-{self._editions}"
        for part in ("book", *(f"pages/shards/{number:03}" for number in range(pages))):
            (folder / part).mkdir(parents=True)
            (folder / part / "edition").write_text(edition)
            np.save(folder / part / "vector.npy", np.arange(4.0))
        return folder

    def store_away(self, folder: Path) -> str:
        """Make a release of artifacts; its name."""
        return self.releases.build("Library", folder, ["book", "pages"], lambda _: None)[0].name

    def add(self, edition: str, pages: int) -> str:
        """Make a release; its name."""
        return self.store_away(self.write(edition, pages))

    def move(self, away: Path) -> None:
        """Take the store away."""
        Path(self.store).rename(away)

    def move_back(self, away: Path) -> None:
        """Put it back, in the place of what came there meanwhile."""
        shutil.rmtree(self.store, ignore_errors=True)
        away.rename(self.store)

    def blob(self, release: str, path: str) -> Path:
        """Where the store keeps a file of a release."""
        digest = dict(self.releases.get(release).manifest.files())[path].sha256
        return Path(self.store) / "blobs" / digest[:2] / digest


@dataclass
class Witness:
    """Checks that every answer is of one release in all its parts, and counts of which, with how many pages."""

    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __call__(self, number: int, answer: bytes) -> bool:
        x, *editions = json.loads(answer)
        self.seen[editions[0], len(editions) - 3] += 1
        return x == number and len(set(editions)) == 1


async def publish(system: ProcessSystem, release: str) -> wishes.Over:
    """Make a release the current one; how that ended."""
    return await system.conductor.publish(release, lambda _: None)


def load_of(system: ProcessSystem, is_right: Callable[[int, bytes], bool]) -> Load:
    """Clients that read all the time."""
    return Load(system.url, path="/read", is_right=is_right)
