"""A release on this machine's disk, whole and verified, for processes to read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kapelle.artifacts.manifest import Advance, File, measured
from kapelle.artifacts.releases import Release, Releases
from kapelle.errors import ArtifactError, StoreError


def check_out(releases: Releases, release: Release, root: Path, advance: Advance) -> Path:
    """The folder below ``root`` that holds the files of ``release``, as a folder of artifacts.

    Every byte is verified as it is written, and the folder appears when all of it is there; one that is there already
    was made like that. Its files are read-only, for all processes of the machine share them.

    Raises:
        ArtifactError: a file in the store is not what the manifest says.
        StoreError: the store cannot be read, or the disk not be written.
    """
    folder = root / release.manifest.identity[:16]
    if folder.is_dir():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=root))
        try:
            for path, file in release.manifest.files():
                _write(releases, release, path, file, aside / path, advance)
            # Where another process was first, its folder is as good.
            if not folder.is_dir():
                aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        if not folder.is_dir():
            raise StoreError(f"cannot write {release.name} to {root}: {error.strerror}") from error
    return folder


def _write(releases: Releases, release: Release, path: str, file: File, target: Path, advance: Advance) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        found = measured(file.path, _copied(releases.read(file), out), advance)
        out.flush()
        os.fsync(out.fileno())
    if found != file:
        raise ArtifactError(
            f"{release.name} is damaged: {path} has {found.size} bytes and SHA-256 {found.sha256[:12]}…, expected "
            f"{file.size} and {file.sha256[:12]}…; `kapelle release verify {release.name}` names all such files"
        )
    target.chmod(0o444)


def _copied(pieces: Iterable[bytes], out: BinaryIO) -> Iterator[bytes]:
    for piece in pieces:
        out.write(piece)
        yield piece
