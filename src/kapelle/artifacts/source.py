"""Where the files of one release are found on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """The artifacts of one release. Every method may take long, and blocks: files may have to be fetched first."""

    def path(self, artifact: str) -> Path:
        """The folder of an artifact; whether its shards are in it is not for the caller to rely on.

        Raises:
            ArtifactError: it has none of this name, or it cannot be had.
        """

    def shard_count(self, artifact: str) -> int:
        """How many shards an artifact has.

        Raises:
            ArtifactError: as for ``path``, or it has no shards.
        """

    def shard(self, artifact: str, number: int) -> Path:
        """The folder of one shard.

        Raises:
            ArtifactError: as for ``path``, or there is no such shard.
        """
