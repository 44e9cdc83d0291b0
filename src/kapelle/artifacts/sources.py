"""Where a process finds the artifacts of any release."""

from __future__ import annotations

from pathlib import Path

from kapelle.artifacts.checkout import check_out
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.source import Source
from kapelle.config.orders import LOCAL


class Sources:
    """``artifacts`` is the folder of the local ones, ``store`` where releases are, ``cache`` where they are fetched to."""

    def __init__(self, artifacts: Path, store: str, cache: Path) -> None:
        self._artifacts = artifacts
        self._store = store
        self._cache = cache

    def of(self, release: str) -> Source:
        """The artifacts of a release; blocks.

        Raises:
            StoreError: there is no such release, or the store cannot be read.
            ArtifactError: its manifest cannot be read.
        """
        if release == LOCAL:
            return ArtifactFolder(self._artifacts)
        releases = Releases(FolderObjects(Path(self._store)))
        return ArtifactFolder(check_out(releases, releases.get(release), self._cache, lambda _: None))
