"""Artifacts in a folder: ``<root>/<name>/…``, and ``<root>/<name>/shards/<number>/…`` for sharded ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kapelle.errors import ArtifactError


class ArtifactFolder:
    """A folder of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, artifact: str) -> Path:
        """The folder of an artifact.

        Raises:
            ArtifactError: it is not there; the message says what is.
        """
        path = self.root / artifact
        if not path.is_dir():
            present = sorted(entry.name for entry in _folders(self.root))
            found = f"it has {', '.join(present)}" if present else "it is empty or missing"
            raise ArtifactError(
                f"no artifact {artifact!r} in {self.root}; {found}: build it, or name the folder with --artifacts"
            )
        return path

    def shards(self, name: str) -> list[Path]:
        """The shards of an artifact, by number.

        Raises:
            ArtifactError: it has none, or the numbers have gaps.
        """
        folder = self.path(name) / "shards"
        shards = sorted((entry for entry in _folders(folder) if entry.name.isdecimal()), key=lambda one: int(one.name))
        numbers = [int(entry.name) for entry in shards]
        if not shards:
            raise ArtifactError(f"artifact {name!r} has no shards: expected folders 000, 001, … in {folder}")
        if numbers != list(range(len(shards))):
            raise ArtifactError(f"artifact {name!r}: shards are numbered {numbers}; expected 0 to {len(shards) - 1}")
        return shards

    def shard_count(self, artifact: str) -> int:
        """How many shards an artifact has.

        Raises:
            ArtifactError: as for ``shards``.
        """
        return len(self.shards(artifact))

    def shard(self, artifact: str, number: int) -> Path:
        """The folder of one shard.

        Raises:
            ArtifactError: as for ``shards``, or there is no such shard.
        """
        shards = self.shards(artifact)
        if not 0 <= number < len(shards):
            raise ArtifactError(f"artifact {artifact!r} has no shard {number}; it has 0 to {len(shards) - 1}")
        return shards[number]


def everything_in(folder: Path) -> Iterator[Path]:
    """Whatever lies in a folder, at any depth; links are not followed.

    Raises:
        OSError: a folder cannot be read. ``Path.rglob`` passes over such a one as if it were empty.
    """

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=fail):
        yield from (Path(parent, name) for name in (*folders, *files))


def _folders(parent: Path) -> list[Path]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
