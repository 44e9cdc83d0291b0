"""Releases on this machine's disk: each file is fetched once, verified, and shared by all processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import math
import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from kapelle.artifacts.manifest import CODE, File, Manifest, decode, encode, is_release, measured
from kapelle.artifacts.releases import Release
from kapelle.clock import wall
from kapelle.errors import ArtifactError, StoreError

_THREADS = 4
_PIECE = 1 << 20
_ASIDE = ".incoming-"
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK}

Read = Callable[[File, int], Iterable[bytes]]
"""The bytes of a file in the store, from a position on."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is fetched together: the common files of an artifact or, with ``shard``, those of one shard."""

    release: Release
    artifact: str
    shard: int | None = None

    @property
    def tree(self) -> str:
        """The identity of the release, or of its code: that stays in its place while releases come and go."""
        manifest = self.release.manifest
        return _short(code_identity(manifest.code) if self.artifact == CODE else manifest.identity)

    @property
    def files(self) -> list[File]:
        """Its files; their paths are below the part."""
        artifact = self.release.manifest.artifacts[self.artifact]
        return artifact.common if self.shard is None else artifact.shards[self.shard]

    @property
    def folder(self) -> str:
        """Where it lies in the tree of its release."""
        return f"{self.artifact}/common" if self.shard is None else f"{self.artifact}/{self.shard:03}"

    def damaged(self, file: File, found: str) -> ArtifactError:
        """The store has not what the manifest says."""
        name, shard = self.release.name, "" if self.shard is None else f"shards/{self.shard:03}/"
        return ArtifactError(
            f"{name} is damaged: {self.artifact}/{shard}{file.path} {found}, expected {file.size} bytes and SHA-256 "
            f"{file.sha256[:12]}…; `kapelle release verify {name} --target APP` names all such files"
        )


def code_identity(code: str) -> str:
    """Under which identity a version of code is kept."""
    return hashlib.sha256(f"code {code}".encode()).hexdigest()


class Cache:
    """A folder that all processes of a machine share.

    ``blobs/ab/<sha256>`` has each content once, ``<sha256>.part`` what has come of it so far. The parts in
    ``releases/<identity>/<artifact>/`` are hard links to them: one that is there is complete. ``manifests`` has the
    manifests of those releases for each store, ``locks`` a file for whatever is in work.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, part: Part, read: Read) -> Path:
        """The folder of a part; ``read`` fetches what no process has fetched yet. Blocks while others fetch the same.

        Raises:
            ArtifactError: a file in the store is not what the manifest says.
            StoreError: the store cannot be read, or the disk not be written.
        """
        identity = part.tree
        tree = self._root / "releases" / identity
        folder = tree / part.folder
        with _writing(folder):
            if _has(folder, part.files):
                with suppress(OSError):  # a prune may have taken it just now; whoever asks again has it anew
                    os.utime(tree)
                return folder
            with self._locked(identity, fcntl.LOCK_SH):
                folder.parent.mkdir(parents=True, exist_ok=True)
                aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=tree))
                try:
                    self._fill(aside / "whole", part, read)
                    if folder.is_dir() and not _has(folder, part.files):
                        folder.rename(aside / "damaged")
                    (aside / "whole").rename(folder)
                except OSError:
                    # Where another process was first, its folder is as good.
                    if not _has(folder, part.files):
                        raise
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
        return folder

    def remember(self, where: str, release: Release) -> None:
        """Keep what the store at ``where`` has under this name.

        Raises:
            StoreError: the disk cannot be written.
        """
        path, text = self._manifest(where, release.name), encode(release.manifest)
        with _writing(path), self._locked(f"{path.parent.name}-{release.name}", fcntl.LOCK_EX):
            if path.is_file() and path.read_bytes() == text:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".part")
            with aside.open("wb") as out:
                out.write(text)
                _flush(out)
            aside.replace(path)

    def recall(self, where: str, name: str) -> Release | None:
        """What the store at ``where`` had under this name when it was last asked; None where it never was."""
        if not is_release(name):
            return None
        manifest = _read_manifest(self._manifest(where, name), name)
        return None if manifest is None else Release(name, manifest)

    def prune(self, keep: Collection[str], *, spared: float = 0.0) -> None:
        """Remove all that only releases of other identities need, but nothing that is being fetched.

        ``keep`` has the identities that are in use, or soon will be; those that were taken within the last ``spared``
        seconds count as such. What the kept ones have on this machine stays, and so do downloads for them that are not
        done.

        Raises:
            StoreError: the disk cannot be written.
        """
        with _writing(self._root):
            young = {tree.name for tree in (self._root / "releases").glob("*") if _age(tree) < spared}
            kept = self._prune_trees({_short(one) for one in keep} | young)
            needed = self._prune_manifests(kept)
            for path in (self._root / "blobs").glob("*/*"):
                if path.stem not in needed:
                    with self._locked(path.stem, fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
                        if free:
                            path.unlink(missing_ok=True)

    def _prune_trees(self, kept: set[str]) -> set[str]:
        """Remove the trees of all other identities; those kept, and those that somebody is at work on."""
        for tree in sorted((self._root / "releases").glob("*")):
            identity = tree.name.removeprefix(".")
            with self._locked(identity, fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
                if not free:
                    kept.add(identity)
                elif tree.name != identity:
                    shutil.rmtree(tree)  # a prune was killed in the middle of it
                elif identity in kept:
                    for left in tree.glob(f"{_ASIDE}*"):
                        shutil.rmtree(left)
                else:
                    # Nobody may ever take a half removed part for a complete one.
                    shutil.rmtree(tree.rename(tree.with_name(f".{identity}")))
        return kept

    def _prune_manifests(self, kept: set[str]) -> set[str]:
        """Remove those of all other identities; the digests of the files of those kept."""
        needed: set[str] = set()
        for path in (self._root / "manifests").glob("*/*.json"):
            manifest = _read_manifest(path, path.stem)
            if manifest is None:
                continue  # of a newer Kapelle
            if _short(manifest.identity) in kept:
                needed.update(file.sha256 for _, file in manifest.files())
            else:
                path.unlink(missing_ok=True)
        return needed

    def _fill(self, aside: Path, part: Part, read: Read) -> None:
        aside.mkdir()
        alike: dict[tuple[str, int], list[File]] = {}
        for file in part.files:
            alike.setdefault((file.sha256, file.size), []).append(file)

        def place(files: list[File]) -> None:
            # As long as the lock is held, nobody prunes the blob before there are links to it.
            with self._locked(files[0].sha256, fcntl.LOCK_EX):
                blob = self._blob(part, files[0], read)
                for file in files:
                    target = aside / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _link(blob, target)

        _in_parallel(place, alike.values())

    def _blob(self, part: Part, file: File, read: Read) -> Path:
        """Where the content of a file is; for whoever has its lock."""
        blob = self._root / "blobs" / file.sha256[:2] / file.sha256
        with _writing(blob):
            # It was verified when it was fetched; a size is cheap to look at.
            if blob.is_file() and blob.stat().st_size == file.size:
                return blob
            blob.parent.mkdir(parents=True, exist_ok=True)
            aside = blob.with_suffix(".part")
            found = _download(aside, file, read)
            if found != file:
                # What was there before may have been at fault, or the way here.
                aside.unlink()
                found = _download(aside, file, read)
            if found != file:
                aside.unlink()
                raise part.damaged(file, f"has {found.size} bytes and SHA-256 {found.sha256[:12]}…")
            aside.replace(blob)
            blob.chmod(0o444)
        return blob

    def _manifest(self, where: str, name: str) -> Path:
        return self._root / "manifests" / _short(hashlib.sha256(where.encode()).hexdigest()) / f"{name}.json"

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[bool]:
        """Hold a lock; False where somebody else does, and ``how`` says not to wait.

        The kernel takes it from a process that dies. Whoever holds it alone removes the file in the end.
        """
        path = self._root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path, how)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                if how & fcntl.LOCK_EX:
                    path.unlink()
                os.close(lock)


def _download(aside: Path, file: File, read: Read) -> File:
    """Complete what has come of a file so far; what it is now."""
    with aside.open("a+b") as out:
        out.seek(0)
        found = measured(file.path, _bytes(out, file, read), lambda _: None)
        _flush(out)
    return found


def _bytes(out: BinaryIO, file: File, read: Read) -> Iterator[bytes]:
    """What is there, then the rest, which is written as it comes."""
    have = os.fstat(out.fileno()).st_size
    if have:
        yield from iter(partial(out.read, _PIECE), b"")
    if have < file.size:
        for piece in read(file, have):
            out.write(piece)
            yield piece


def _in_parallel(place: Callable[[list[File]], None], groups: Iterable[list[File]]) -> None:
    """Place these, several at a time; after the first that fails, none is begun.

    The end of the process waits for no download, as it would for the threads of a pool: what has come stays.
    """
    waiting = deque(groups)
    failures: list[BaseException] = []

    def work() -> None:
        while waiting and not failures:
            try:
                group = waiting.popleft()
            except IndexError:
                return  # another thread was first
            try:
                place(group)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
                failures.append(error)

    threads = [threading.Thread(target=work, name="kapelle-fetch", daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _has(folder: Path, files: Iterable[File]) -> bool:
    """Whether all of them are there; their sizes are cheap to look at, and show what was cut off since."""
    try:
        return all((folder / file.path).stat().st_size == file.size for file in files) and folder.is_dir()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with blob.open("rb") as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, _PIECE)
            _flush(out)
        target.chmod(0o444)


def _flush(out: BinaryIO) -> None:
    """To the disk: what has its final name must be whole after a power failure."""
    out.flush()
    os.fsync(out.fileno())


def _lock(path: Path, how: int) -> int | None:
    """The open file of a lock; None where it is not to be had at once, and ``how`` says not to wait."""
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, how)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except FileNotFoundError:
            pass  # whoever held it removed it; the next one to wait for is another file
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _read_manifest(path: Path, name: str) -> Manifest | None:
    try:
        return decode(path.read_bytes(), name)
    except (OSError, ArtifactError):
        return None


def _age(tree: Path) -> float:
    """Seconds since something was taken from it, or put there; very many where it is gone."""
    try:
        return wall() - tree.stat().st_mtime
    except OSError:
        return math.inf


def _short(digest: str) -> str:
    return digest[:16]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
