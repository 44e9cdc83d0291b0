"""A build context: the folder that an engine gets, with the files that images are made of and no others."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kapelle.errors import DeployError

Content = bytes | Path
"""What a file has: these bytes, or those of another file."""


def write_context(folder: Path, files: Mapping[str, Content]) -> list[str]:
    """Make ``folder`` have exactly these files; the paths that had to be written.

    A file that is as it should be is not touched. What is there and is not wanted goes away.

    Raises:
        DeployError: it cannot be written, or is a folder of somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_others(folder, {folder / name for name in files})
        return [name for name, content in sorted(files.items()) if _write(folder / name, content)]
    except OSError as error:
        raise DeployError(
            f"{folder} cannot be written: {error.strerror} ({error.filename}); it is Kapelle's own, and can be removed, "
            "or run this in a folder that you may write to"
        ) from error


def digest_of(content: Content) -> str:
    """The SHA-256 of what a file has."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: Content) -> bool:
    if path.is_file() and path.stat().st_size == _size(content) and digest_of(path) == digest_of(content):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    if isinstance(content, bytes):
        aside.write_bytes(content)
    else:
        shutil.copyfile(content, aside)
    aside.replace(path)
    return True


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _remove_others(folder: Path, wanted: set[Path]) -> None:
    for parent, below, names in os.walk(folder, topdown=False):
        for name in names:
            if Path(parent, name) not in wanted:
                Path(parent, name).unlink()
        for name in below:
            one = Path(parent, name)
            if one.is_symlink():
                one.unlink()
            elif not any(one.iterdir()):
                one.rmdir()
