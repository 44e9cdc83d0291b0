"""Artifacts of any name, none of which is on the disk."""

from __future__ import annotations

from pathlib import Path


class Anywhere:
    """A source whose paths only say what was asked for."""

    def path(self, artifact: str) -> Path:
        return Path("artifacts") / artifact

    def shard_count(self, artifact: str) -> int:
        return 2

    def shard(self, artifact: str, number: int) -> Path:
        return self.path(artifact) / str(number)
