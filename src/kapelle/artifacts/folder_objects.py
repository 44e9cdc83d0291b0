"""Objects in a folder: one file each, written aside and put in place whole."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kapelle.artifacts.folder import everything_in
from kapelle.artifacts.objects import NoObject
from kapelle.errors import StoreError

_PIECE = 1 << 20
_ASIDE = ".incoming-"


class FolderObjects:
    """Objects below ``root``, which is made when the first one is stored."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        with self._failing("read", key), self._path(key).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if start > size:
                raise NoObject(f"{self.root} has {size} bytes of {key}; expected at least {start}")
            file.seek(start)
            while piece := file.read(_PIECE):
                yield piece

    def put(self, key: str, source: Path) -> None:
        if self.exists(key):
            return
        with self._failing("write", key), self._aside(key) as aside:
            shutil.copyfile(source, aside)
            _flush(aside)
            aside.replace(self._path(key))
            _flush(self._path(key).parent)

    def create(self, key: str, data: bytes) -> bool:
        with self._failing("write", key), self._aside(key) as aside:
            aside.write_bytes(data)
            _flush(aside)
            try:
                # Unlike a rename, a link fails where something is there already.
                os.link(aside, self._path(key))
            except FileExistsError:
                return False
            _flush(self._path(key).parent)
        return True

    def exists(self, key: str) -> bool:
        with self._failing("read", key):
            try:
                return stat.S_ISREG(self._path(key).stat().st_mode)
            except FileNotFoundError:
                return False

    def list(self, prefix: str) -> list[str]:
        folder = self.root / prefix
        with self._failing("read", prefix):
            try:
                folder.stat()
            except FileNotFoundError:
                return []
            found = [one for one in everything_in(folder) if one.is_file() and not one.name.startswith(_ASIDE)]
        return sorted(one.relative_to(self.root).as_posix() for one in found)

    def delete(self, key: str) -> None:
        with self._failing("remove", key):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key

    @contextmanager
    def _aside(self, key: str) -> Iterator[Path]:
        """A file in the same folder that nobody takes for an object; gone at the end."""
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=_ASIDE, dir=folder)
        os.close(number)
        try:
            yield Path(name)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()

    @contextmanager
    def _failing(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if what == "read" and isinstance(error, FileNotFoundError):
                raise NoObject(f"{self.root} has no {key}") from None
            raise StoreError(f"cannot {what} {self._path(key)}: {error.strerror}") from error


def _flush(path: Path) -> None:
    """To the disk: what is said to be stored must be there after a power failure."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
