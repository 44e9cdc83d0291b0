"""Generated files that people own: written when they change, left alone once they were edited.

``.generated`` in the folder says what was written last, in the form of ``sha256sum``. A file that is no longer what was
written belongs to whoever edited it: what would be written now is laid beside it as ``NAME.new``, once for each change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kapelle.errors import DeployError

_RECORD = ".generated"
_HEAD = "# Written by `kapelle deploy` for "


class Fate(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    EDITED = "edited by you, left alone"
    BESIDE = "edited by you, left alone: what is new lies beside it, as .new"
    REMOVED = "removed: nothing needs it any more"


@dataclass(frozen=True, slots=True)
class File:
    """A file and what became of it."""

    path: Path
    fate: Fate


def write_files(folder: Path, owner: str, texts: Mapping[str, str]) -> list[File]:
    """Bring the generated files below ``folder`` up to date; ``owner`` is the app and engine that they are of.

    Raises:
        DeployError: the folder is another's, or cannot be written.
    """
    try:
        known = _known(folder, owner)
        files = [
            File(folder / name, _written(folder / name, text, known.get(name))) for name, text in sorted(texts.items())
        ]
        files += [_removed(folder / name, digest) for name, digest in sorted(known.items()) if name not in texts]
        lines = [_HEAD + owner, *(f"{_digest(text)}  {name}" for name, text in sorted(texts.items()))]
        _replace(folder / _RECORD, "\n".join(lines) + "\n")
    except OSError as error:
        raise DeployError(
            f"{error.filename or folder} cannot be written: {error.strerror}; name another folder with --out"
        ) from None
    return files


def _known(folder: Path, owner: str) -> dict[str, str]:
    """The digest of each file as it was written last."""
    try:
        head, *lines = (folder / _RECORD).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return {}
    if head != _HEAD + owner:
        raise DeployError(
            f"{folder} has the files of {head.removeprefix(_HEAD)}, not of {owner}; name another folder with --out"
        )
    pairs = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in pairs}


def _written(path: Path, text: str, known: str | None) -> Fate:
    found = _read(path) if path.is_file() else None
    if found == text:
        return Fate.UNCHANGED
    if found is None or (known is not None and _digest(found) == known):
        _replace(path, text)
        return Fate.WRITTEN
    if known == _digest(text):
        return Fate.EDITED
    _replace(path.with_name(f"{path.name}.new"), text)
    return Fate.BESIDE


def _removed(path: Path, known: str) -> File:
    if path.is_file() and _digest(_read(path)) != known:
        return File(path, Fate.EDITED)
    path.unlink(missing_ok=True)
    return File(path, Fate.REMOVED)


def _replace(path: Path, text: str) -> None:
    """All of it or nothing, and nothing where it is there already."""
    if path.is_file() and _read(path) == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _read(path: Path) -> str:
    """A file that somebody may have edited, in another encoding, too."""
    return path.read_text(encoding="utf-8", errors="replace")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
