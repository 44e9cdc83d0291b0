"""Which kind of store an address means."""

from __future__ import annotations

from pathlib import Path

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.objects import Objects


def open_objects(where: str) -> Objects:
    """The objects of the store at ``where``: a folder."""
    return FolderObjects(Path(where))
