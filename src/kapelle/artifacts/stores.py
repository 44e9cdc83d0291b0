"""Which kind of store an address means."""

from __future__ import annotations

from pathlib import Path

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.objects import Objects
from kapelle.errors import ConfigError, StoreError


def open_objects(where: str) -> Objects:
    """The objects of the store at ``where``: a folder, or ``s3://bucket/prefix``. Nothing is read yet.

    Raises:
        ConfigError: it is neither.
        StoreError: the library for such a store is not installed.
    """
    if not is_in_s3(where):
        return FolderObjects(Path(where))
    try:
        from kapelle.artifacts.s3_objects import S3Objects  # noqa: PLC0415 - only who has such a store needs the library
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise StoreError("a store at s3://… needs the library obstore: pip install 'kapelle[s3]'") from None
    return S3Objects(where)


def is_in_s3(where: str) -> bool:
    """Whether a store is in S3, and not in a folder.

    Raises:
        ConfigError: it is in neither.
    """
    scheme, is_address, _ = where.partition("://")
    if is_address and scheme != "s3":
        raise ConfigError(f"a store cannot be at {scheme}://…; expected a folder, or s3://bucket/prefix")
    return bool(is_address)
