"""Where a process finds the artifacts of any release."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from kapelle.artifacts.cache import Cache, Part
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.manifest import CODE, File
from kapelle.artifacts.objects import NoObject
from kapelle.artifacts.releases import NoRelease, Release, Releases
from kapelle.artifacts.source import Source
from kapelle.artifacts.stores import open_objects
from kapelle.config.orders import LOCAL
from kapelle.errors import ArtifactError, KapelleError, StoreError
from kapelle.observe.metrics import Registry


class Sources:
    """``artifacts`` is the folder of the local ones, ``store`` where releases are, ``cache`` where they are fetched to.

    What comes from the store is counted in the metrics of ``registry``.
    """

    def __init__(self, artifacts: Path, store: str, cache: Path, registry: Registry) -> None:
        self._artifacts = artifacts
        self._store = store
        self._cache = Cache(cache)
        self._counting = threading.Lock()
        self._fetched = 0
        registry.total(
            "kapelle_fetched_bytes_total",
            "Bytes of releases that the process has fetched from the store; what another one has fetched is shared.",
            lambda: self._fetched,
        )

    def of(self, release: str) -> Source:
        """The artifacts of a release; blocks.

        Raises:
            StoreError: there is no such release, or the store cannot be read and its manifest was never fetched.
            ArtifactError: its manifest cannot be read.
        """
        if release == LOCAL:
            return ArtifactFolder(self._artifacts)
        objects = open_objects(self._store)
        # As it names itself: an address of S3 is another store at another endpoint.
        return CachedSource(self._cache, Releases(objects), release, str(objects), self._count)

    def _count(self, size: int) -> None:
        # Several threads fetch at a time.
        with self._counting:
            self._fetched += size


class CachedSource:
    """The artifacts of one release in a store. What is asked for is fetched to the cache, and nothing else."""

    def __init__(
        self,
        cache: Cache,
        releases: Releases,
        name: str,
        where: str,
        on_fetched: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Find the release ``name`` in the store at ``where``; when that cannot be reached, what it was the last time.

        ``on_fetched`` hears of bytes as they come, in the threads that fetch them.

        Raises:
            StoreError: there is no such release, or the store cannot be read and never was.
            ArtifactError: its manifest cannot be read.
        """
        self._cache = cache
        self._releases = releases
        self._release = self._find(name, where)
        self._on_fetched = on_fetched
        self._counting = threading.Lock()
        self.fetched = 0
        """Bytes that came from the store."""

    def path(self, artifact: str) -> Path:
        """The folder of the common files of an artifact."""
        self._shards(artifact)
        return self._get(Part(self._release, artifact))

    def shard_count(self, artifact: str) -> int:
        """How many shards an artifact has."""
        count = self._shards(artifact)
        if not count:
            raise ArtifactError(f"artifact {artifact!r} of {self._release.name} has no shards")
        return count

    def shard(self, artifact: str, number: int) -> Path:
        """The folder of one shard."""
        count = self.shard_count(artifact)
        if not 0 <= number < count:
            raise ArtifactError(
                f"artifact {artifact!r} of {self._release.name} has no shard {number}; it has 0 to {count - 1}"
            )
        return self._get(Part(self._release, artifact, number))

    def _shards(self, artifact: str) -> int:
        artifacts = self._release.manifest.artifacts
        if artifact not in artifacts:
            raise ArtifactError(
                f"{self._release.name} has no artifact {artifact!r}; it has {', '.join(sorted(artifacts))}: "
                "build a release that has it"
            )
        return len(artifacts[artifact].shards)

    def _find(self, name: str, where: str) -> Release:
        try:
            release = self._releases.get(name)
        except StoreError as error:
            kept = self._cache.recall(where, name)
            # A folder that is not mounted looks like a store without any releases.
            if kept is None or (isinstance(error, NoRelease) and self._releases.names):
                raise
            return kept
        self._cache.remember(where, release)
        return release

    def _get(self, part: Part) -> Path:
        return self._cache.get(part, partial(self._read, part))

    def _read(self, part: Part, file: File, start: int) -> Iterator[bytes]:
        try:
            for piece in self._releases.read(file, start):
                with self._counting:
                    self.fetched += len(piece)
                self._on_fetched(len(piece))
                yield piece
        except NoObject as error:
            raise part.damaged(file, f"cannot be read ({error.detail})") from error


def restore_code(target: str, release: str, store: str, cache: Path) -> None:
    """See that the code of ``release`` lies at ``target``, if that is in the ``cache``: that may have been emptied since.

    Raises:
        ArtifactError, StoreError: it does not, and cannot be fetched.
    """
    if release == LOCAL or not Path(target).is_relative_to(cache):
        return
    try:
        Sources(Path(), store, cache, Registry()).of(release).path(CODE)
    except KapelleError:
        # What lies there will do: a store that cannot be reached is no reason not to start.
        if not Path(target.partition(":")[0]).is_file():
            raise
