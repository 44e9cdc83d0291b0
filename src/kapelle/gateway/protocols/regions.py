"""The system shared-memory extension: tensors in memory that a client of this machine has made, read and written in place.

A region is a POSIX shared-memory object, which Linux shows as a file in /dev/shm. It is read and written through its file,
never mapped: a client may cut it short at any moment, and whoever maps it then dies of SIGBUS. What is registered is kept
in a folder of its own, so that all gateways of a system know it, those of new code included.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kapelle.errors import InvalidInput
from kapelle.oip.datatypes import Data

MEMORY = Path("/dev/shm")  # noqa: S108 - not a folder for temporary files: this is where Linux has shared memory
MOST = 1024
"""Regions that are registered at once."""
SUFFIX = ".region"
_NEW = "new-"
_KEY = re.compile(r"/?[A-Za-z0-9_.:@+-]{1,200}")


class Region(msgspec.Struct, frozen=True):
    """``key`` is the name of the shared memory; the region begins ``offset`` bytes into it."""

    name: str
    key: str
    offset: int
    byte_size: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Region).decode


class Regions:
    """What clients have registered, in a folder that the gateways of a system share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def register(self, region: Region) -> None:
        """Make a region known.

        Raises:
            InvalidInput: the name is taken, or the memory is not there, not ours, or too small.
        """
        if not region.name or len(region.name) > 1024:
            raise InvalidInput("expected a name for the region, of 1024 characters at most", path="name")
        if region.offset < 0 or region.byte_size < 1:
            raise InvalidInput(
                f"expected an offset of 0 or more and a size of 1 or more, got {region.offset} and {region.byte_size}",
                path="byte_size",
            )
        with _opened(region) as handle:
            _check_within(handle, region, 0, region.byte_size)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(self._paths()) >= MOST:
            raise InvalidInput(f"{MOST} regions are registered; unregister some first", path="name")
        part = self._folder / f"{_NEW}{os.getpid()}{SUFFIX}"
        part.write_bytes(_encode(region))
        try:
            # A link, not a rename: it fails where the name is taken, and nobody sees half of it.
            self._path(region.name).hardlink_to(part)
        except FileExistsError:
            raise InvalidInput(
                f"shared memory region {region.name!r} is registered already; unregister it first", path="name"
            ) from None
        finally:
            part.unlink()

    def unregister(self, name: str = "") -> None:
        """Forget a region, or all of them; one that is not known is none the less forgotten."""
        for path in [self._path(name)] if name else self._paths():
            path.unlink(missing_ok=True)

    def status(self, name: str = "") -> list[Region]:
        """A region, or all of them.

        Raises:
            InvalidInput: it is not registered.
        """
        if name:
            return [self._find(name)]
        found = []
        for path in self._paths():
            with suppress(FileNotFoundError):  # another gateway forgets it meanwhile
                found.append(_decode(path.read_bytes()))
        return found

    def read(self, name: str, offset: int, size: int) -> Data:
        """``size`` bytes of a region.

        Raises:
            InvalidInput: it is not registered, does not reach that far, or has been cut short.
        """
        region = self._find(name)
        with _opened(region) as handle:
            _check_within(handle, region, offset, size)
            found = bytearray(size)
            done = 0
            # One call reads and writes 2 GiB at most.
            while part := os.preadv(handle, [memoryview(found)[done:]], region.offset + offset + done):
                done += part
        if done < size:
            raise InvalidInput(f"shared memory {region.key!r} ends within the tensor", path=name)
        return found

    def write(self, name: str, offset: int, size: int, data: Data) -> None:
        """Put ``data`` into the ``size`` bytes that a client has set apart.

        Raises:
            InvalidInput: as for ``read``, the data are larger, or there is no memory left for them.
        """
        if len(data) > size:
            raise InvalidInput(
                f"the output takes {len(data)} bytes, shared memory region {name!r} has {size} for it", path=name
            )
        region = self._find(name)
        with _opened(region) as handle:
            _check_within(handle, region, offset, size)
            done, rest = 0, memoryview(data)
            try:
                while done < len(rest):
                    done += os.pwrite(handle, rest[done:], region.offset + offset + done)
            except OSError as error:  # memory is made as it is written to, and /dev/shm may be full
                raise InvalidInput(
                    f"shared memory {region.key!r} cannot be written: {error.strerror}", path=name
                ) from None

    def _find(self, name: str) -> Region:
        try:
            return _decode(self._path(name).read_bytes())
        except FileNotFoundError:
            raise InvalidInput(f"shared memory region {name!r} is not registered", path=name) from None

    def _path(self, name: str) -> Path:
        # By its digest: a name may be anything, a file's may not.
        return self._folder / (hashlib.sha256(name.encode()).hexdigest() + SUFFIX)

    def _paths(self) -> list[Path]:
        return [path for path in self._folder.glob(f"*{SUFFIX}") if not path.name.startswith(_NEW)]


@contextmanager
def _opened(region: Region) -> Iterator[int]:
    """The file of a region's memory.

    Raises:
        InvalidInput: there is none, it is another user's, or no shared memory at all.
    """
    if _KEY.fullmatch(region.key) is None or region.key.strip("/") in (".", ".."):
        raise InvalidInput(f"{region.key!r} is no name of shared memory; expected one such as '/input'", path="key")
    try:
        handle = os.open(MEMORY / region.key.lstrip("/"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInput(f"shared memory {region.key!r} cannot be opened: {error.strerror}", path="key") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            raise InvalidInput(f"{region.key!r} is not shared memory of the user who runs this server", path="key")
        yield handle
    finally:
        os.close(handle)


def _check_within(handle: int, region: Region, offset: int, size: int) -> None:
    if offset < 0 or size < 0 or offset + size > region.byte_size:
        raise InvalidInput(
            f"bytes {offset} to {offset + size} are not within shared memory region {region.name!r} of {region.byte_size}",
            path=region.name,
        )
    length = os.fstat(handle).st_size
    if region.offset + offset + size > length:
        raise InvalidInput(
            f"shared memory {region.key!r} has {length} bytes, too few for region {region.name!r}", path=region.name
        )
