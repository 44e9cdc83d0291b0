"""The releases of one app in a store: built, found, compared, verified, thrown away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from kapelle.artifacts.folder import ArtifactFolder, everything_in
from kapelle.artifacts.manifest import (
    CODE,
    Advance,
    Artifact,
    File,
    Manifest,
    Origin,
    decode,
    encode,
    is_inside,
    is_name,
    is_release,
    measured,
)
from kapelle.artifacts.objects import NoObject, Objects
from kapelle.clock import wall
from kapelle.declare.code import Code
from kapelle.errors import ArtifactError, StoreError
from kapelle.version import VERSION

_THREADS = 4
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest and the name it has in its store."""

    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Change:
    """A file that two releases do not have alike; None where a release does not have it."""

    path: str
    old: File | None
    new: File | None


class NoRelease(StoreError):
    """The store can be reached, and has no release of this name."""


def code_version(code: Code) -> str:
    """The version of the code that a release of these files has, whatever else is in it."""
    files = [_describe(path, below, lambda _: None) for below, path in code.files.items()]
    made = Origin(VERSION, 0.0, "")
    return Manifest(app="", artifacts={CODE: artifact_of(files)}, made=made, entry=code.entry).code


class Releases:
    """The releases in ``objects``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __str__(self) -> str:
        return str(self._objects)

    def build(
        self,
        app: str,
        artifacts: Path,
        names: Iterable[str],
        advance: Advance,
        source: str = "",
        code: Code | None = None,
    ) -> tuple[Release, bool]:
        """Store the artifacts of these names; the release, and whether it is new. ``source`` says what they came from.

        With ``code`` processes of the release run that, else what is on the machine.

        The same content is the same release: building it again adds nothing, and mends what was damaged.

        Raises:
            ArtifactError: an artifact is missing, cannot be read, or has something else in it than files and folders.
            StoreError: the store cannot be read or written.
        """
        folder = ArtifactFolder(artifacts)
        paths = {name: _files(folder.path(name), name) for name in sorted(set(names))}
        if CODE in paths:
            raise ArtifactError(f"an artifact cannot be called {CODE!r}: the app's own code has that name")
        if code is not None:
            paths[CODE] = list(code.files.items())
        for name, found in paths.items():
            _check_paths(name, found)
        with ThreadPoolExecutor(_THREADS) as pool:
            jobs = {
                name: [(path, pool.submit(_describe, path, below, advance)) for below, path in found]
                for name, found in paths.items()
            }
            described = {name: [(path, job.result()) for path, job in found] for name, found in jobs.items()}
            made = Origin(VERSION, wall(), source or str(artifacts))
            contents = {name: artifact_of([file for _, file in found]) for name, found in described.items()}
            entry = msgspec.UNSET if code is None else code.entry
            manifest = Manifest(app=app, artifacts=contents, made=made, entry=entry)
            text = encode(manifest)
            # What is there already may have been damaged since; then this mends it.
            list(pool.map(lambda one: self._keep(one[0], one[1]), _blobs(described)))
        known = self._oldest(manifest.identity)
        return (known, False) if known is not None else self._name(manifest, text)

    @property
    def names(self) -> list[str]:
        """The names of all releases, oldest first."""
        keys = (key.removeprefix("releases/").removesuffix(".json") for key in self._objects.list("releases/"))
        return sorted((name for name in keys if is_release(name)), key=lambda name: int(name[1:]))

    def all(self) -> list[Release]:
        """All releases, oldest first.

        Raises:
            ArtifactError: a manifest is none.
            StoreError: the store cannot be read.
        """
        found = []
        for name in self.names:
            # One that goes between the two is not there.
            with suppress(NoRelease):
                found.append(self.get(name))
        return found

    def readable(self) -> list[Release]:
        """As ``all``, without those whose manifest cannot be read: a newer Kapelle may have made them."""
        found = []
        for name in self.names:
            with suppress(ArtifactError, NoRelease):
                found.append(self.get(name))
        return found

    def get(self, name: str) -> Release:
        """One release.

        Raises:
            NoRelease: there is none of this name; the message says which there are.
            StoreError: the store cannot be read.
            ArtifactError: its manifest is none.
        """
        with suppress(NoObject):
            if is_release(name):
                return Release(name, decode(b"".join(self._objects.read(f"releases/{name}.json")), name))
        names = ", ".join(self.names[-10:])
        found = f"there are {names}" if names else "it is empty: `kapelle release build` makes one"
        raise NoRelease(f"no release {name!r} in {self}; {found}")

    def verify(self, release: Release, advance: Advance) -> None:
        """Read every file of a release in the store.

        Raises:
            ArtifactError: one is missing, or is not what the manifest says; all such files are named.
            StoreError: the store cannot be read.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            files = list(release.manifest.files())
            found = list(pool.map(lambda one: self._fault(one[0], one[1], advance), files))
        faults = [fault for fault in found if fault]
        if faults:
            raise ArtifactError(
                f"{release.name} is damaged: {'; '.join(faults)}. Build it again from its artifacts, or use another release"
            )

    def read(self, file: File, start: int = 0) -> Iterable[bytes]:
        """The bytes of a file from ``start`` on.

        Raises:
            NoObject: they are not there.
            StoreError: the store cannot be read.
        """
        return self._objects.read(_blob(file.sha256), start)

    def delete(self, doomed: Iterable[Release]) -> int:
        """Remove releases, and the files that no other one has; the bytes that this frees.

        Not while a release is being built: its files have no manifest yet that says they are needed.

        Raises:
            ArtifactError: a manifest is none, so that nobody knows what it needs; nothing was removed.
            StoreError: the store cannot be read or written.
        """
        doomed = list(doomed)
        names = {one.name for one in doomed}
        kept = {file.sha256 for one in self.all() if one.name not in names for _, file in one.manifest.files()}
        sizes = {file.sha256: file.size for one in doomed for _, file in one.manifest.files()}
        for one in doomed:
            self._objects.delete(f"releases/{one.name}.json")
        freed = 0
        for key in self._objects.list("blobs/"):
            digest = key.rpartition("/")[2]
            if digest not in kept:
                freed += sizes.get(digest, 0)
                self._objects.delete(key)
        return freed

    def _name(self, manifest: Manifest, text: bytes) -> tuple[Release, bool]:
        """Give it the next name; where another build of the same content was first, the name of that one.

        Numbers are taken in order, so whoever has one can see all that have a smaller one.
        """
        number = int(self.names[-1][1:]) if self.names else 0
        while True:
            number += 1
            mine = Release(f"r{number}", manifest)
            if self._objects.create(f"releases/{mine.name}.json", text):
                break
        first = self._oldest(manifest.identity) or mine
        if first.name == mine.name:
            return mine, True
        self._objects.delete(f"releases/{mine.name}.json")
        return first, False

    def _oldest(self, identity: str) -> Release | None:
        return next((one for one in self.readable() if one.manifest.identity == identity), None)

    def _keep(self, file: File, path: Path) -> None:
        key = _blob(file.sha256)
        if self._objects.exists(key) and self._fault(file.path, file, lambda _: None):
            self._objects.delete(key)
        self._objects.put(key, path)

    def _fault(self, path: str, file: File, advance: Advance) -> str:
        try:
            found = measured(file.path, self.read(file), advance)
        except NoObject as error:
            return f"{path}: {error.detail}"
        if found.size != file.size:
            return f"{path} has {found.size} bytes, expected {file.size}"
        if found.sha256 != file.sha256:
            return f"{path} has SHA-256 {found.sha256[:12]}…, expected {file.sha256[:12]}…"
        return ""


def differences(old: Manifest, new: Manifest) -> list[Change]:
    """The files in which two releases differ, by path."""
    before, after = dict(old.files()), dict(new.files())
    return [
        Change(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _blobs(described: Mapping[str, list[tuple[Path, File]]]) -> list[tuple[File, Path]]:
    """Each different content once, and a file that has it."""
    return list({file.sha256: (file, path) for found in described.values() for path, file in found}.values())


def _blob(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """The files of an artifact by their path below it."""
    if not is_name(name):
        raise ArtifactError(f"an artifact cannot be called {name!r}; expected letters, digits, dots, - and _")
    try:
        there = sorted(everything_in(folder))
    except OSError as error:
        raise ArtifactError(f"cannot read {error.filename}: {error.strerror}") from None
    found = []
    for path in there:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactError(f"{path} is neither a file nor a folder; a release holds nothing else")
        if path.is_file():
            found.append((path.relative_to(folder).as_posix(), path))
    if not found:
        raise ArtifactError(f"artifact {name!r} has no files in {folder}")
    filled = {Path(*path.relative_to(folder).parts[:2]) for _, path in found}
    for shard in (folder / "shards").glob("*"):
        if shard.name.isdecimal() and shard.is_dir() and shard.relative_to(folder) not in filled:
            raise ArtifactError(f"{shard} has no files, so that a release would not have this shard; write one to it")
    return found


def _check_paths(name: str, found: Iterable[tuple[str, Path]]) -> None:
    """What could be stored, but never be read again."""
    for path, _ in found:
        if not is_inside(f"{name}/{path}"):
            raise ArtifactError(
                f"artifact {name!r} has a file {path!r}; expected a path of printable Unicode without backslashes, and "
                "not too long: rename it"
            )


def _describe(path: Path, below: str, advance: Advance) -> File:
    try:
        with path.open("rb") as file:
            return measured(below, iter(partial(file.read, _PIECE), b""), advance)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from None


def artifact_of(files: list[File]) -> Artifact:
    """Common files, and those below ``shards/<number>/``."""
    common: list[File] = []
    shards: dict[int, list[File]] = {}
    folders: dict[int, str] = {}
    for file in files:
        first, _, rest = file.path.partition("/")
        number, _, below = rest.partition("/")
        if first == "shards" and number.isdecimal() and below:
            if folders.setdefault(int(number), number) != number:
                raise ArtifactError(f"shards/{folders[int(number)]} and shards/{number} are the same shard; remove one")
            shards.setdefault(int(number), []).append(File(below, file.size, file.sha256))
        else:
            common.append(file)
    if sorted(shards) != list(range(len(shards))):
        raise ArtifactError(f"shards are numbered {sorted(shards)}; expected 0 to {len(shards) - 1}")
    return Artifact(common, [shards[number] for number in range(len(shards))])
