"""The manifest of a release: which files it consists of, by digest, and what made it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import msgspec

from kapelle.errors import ArtifactError

FORMAT = 1
CODE = "kapelle.code"
"""The artifact that has the app's own code, where a release brings that."""
_MAX_MANIFEST = 64 << 20
_MAX_PATH = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = r"^[0-9a-f]{64}$"
_RELEASE = re.compile(r"r[1-9][0-9]{0,8}")

Advance = Callable[[int], None]
"""Hears how many more bytes are done."""

Size = Annotated[int, msgspec.Meta(ge=0)]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its path below its part with ``/`` between names, its size in bytes, its SHA-256."""

    path: str
    size: Size
    sha256: Annotated[str, msgspec.Meta(pattern=_DIGEST)]


def measured(path: str, pieces: Iterable[bytes], advance: Advance) -> File:
    """The file that these bytes are."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        advance(len(piece))
    return File(path, size, digest.hexdigest())


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of an artifact: those that everybody needs, and those of each shard."""

    common: list[File]
    shards: list[list[File]]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What made a release: the version of Kapelle, the wall-clock time in seconds, and where the files came from."""

    kapelle: str
    at: float
    source: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A release. What it *is* are its app and its artifacts; ``made`` is only about it.

    ``entry`` names the file and the class of the app in the artifact ``CODE``; unset where it brings no code.
    """

    format: int = FORMAT
    app: str
    artifacts: dict[str, Artifact]
    made: Origin
    entry: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def identity(self) -> str:
        """The SHA-256 of the content: the same files make the same release, whoever builds it and when."""
        content = {"format": self.format, "app": self.app, "artifacts": self.artifacts, "entry": self.entry}
        if self.entry is msgspec.UNSET:
            del content["entry"]
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()

    @property
    def code(self) -> str:
        """The version of its code: the same for the same files; "" where it brings none."""
        if self.entry is msgspec.UNSET:
            return ""
        content = [self.entry, self.artifacts[CODE]]
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:12]

    def files(self) -> Iterator[tuple[str, File]]:
        """Every file with its path in the whole: ``index/centroids.npy``, ``index/shards/003/vectors.faiss``."""
        for name, artifact in sorted(self.artifacts.items()):
            for file in artifact.common:
                yield f"{name}/{file.path}", file
            for number, shard in enumerate(artifact.shards):
                for file in shard:
                    yield f"{name}/shards/{number:03}/{file.path}", file

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for _, file in self.files())


class _Version(msgspec.Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    """The manifest as it lies in the store.

    Raises:
        ArtifactError: it has so many files that nobody would read it.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"
    if len(text) > _MAX_MANIFEST:
        raise ArtifactError(
            f"{sum(1 for _ in manifest.files())} files make a manifest of {len(text)} bytes; expected {_MAX_MANIFEST} at "
            "most: pack small files into larger ones"
        )
    return text


def decode(text: bytes, release: str) -> Manifest:
    """The manifest of ``release``, checked.

    Raises:
        ArtifactError: it is of a newer format, is no manifest, or names a file that lies outside of its part.
    """
    if len(text) > _MAX_MANIFEST:
        raise ArtifactError(f"the manifest of {release} has {len(text)} bytes; expected {_MAX_MANIFEST} at most")
    try:
        version = msgspec.json.decode(text, type=_Version).format
        if version != FORMAT:
            raise ArtifactError(
                f"the manifest of {release} has format {version}; this Kapelle reads format {FORMAT}: "
                "update Kapelle, or build the release again"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ArtifactError(f"the manifest of {release} cannot be read: {error}") from None
    _check_names(manifest, release)
    seen: set[str] = set()
    folders: set[str] = set()
    for path, _ in manifest.files():
        if not is_inside(path):
            raise ArtifactError(f"the manifest of {release} has a file {path!r}; expected a path inside its artifact")
        if path in seen:
            raise ArtifactError(f"the manifest of {release} has the file {path!r} twice")
        seen.add(path)
        folders.update(path[:end] for end, letter in enumerate(path) if letter == "/")
    if both := sorted(seen & folders):
        raise ArtifactError(f"the manifest of {release} has {both[0]!r} as a file and as a folder")
    return manifest


def _check_names(manifest: Manifest, release: str) -> None:
    if (manifest.entry is not msgspec.UNSET) != (CODE in manifest.artifacts):
        raise ArtifactError(f"the manifest of {release} has an entry without code, or code without an entry")
    if manifest.entry and not is_inside(manifest.entry):
        raise ArtifactError(f"the manifest of {release} enters at {manifest.entry!r}; expected a file of its code")
    for name in manifest.artifacts:
        if not is_name(name):
            raise ArtifactError(f"the manifest of {release} has an artifact {name!r}; expected a plain name")


def is_name(name: str) -> bool:
    """Whether this can be the name of an artifact or app: one plain path component."""
    return _NAME.fullmatch(name) is not None


def is_release(name: str) -> bool:
    """Whether this can be the name of a release: r1, r2 and so on."""
    return _RELEASE.fullmatch(name) is not None


def is_inside(path: str) -> bool:
    """Whether this can be the path of a file: below its folder on any system, and legible for people."""
    parts = path.split("/")
    return len(path) <= _MAX_PATH and path.isprintable() and "\\" not in path and not {"", ".", ".."} & {*parts}
