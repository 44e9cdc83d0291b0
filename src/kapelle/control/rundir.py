"""The folder of a running system: its sockets, the record of its processes, and the lock of its one controller."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from kapelle.errors import StartError
from kapelle.transport.sockets import MAX_UNIX_PATH

_LONGEST_NAME = 40
_ANSWER = 1.0
_LONGEST_SUFFIX = 9
_LOCK = "lock"
_PROCESSES = "processes.json"
_SYSTEM = "system.json"
_OURS = (_LOCK, _PROCESSES, f"{_PROCESSES}.new", _SYSTEM, "controller")
_SOCKETS = (".control", ".data", ".door", ".heir")
_REGIONS = ".region"  # shared memory that clients have registered at a gateway


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started: enough to find it again. ``born`` tells it from a later one of the same number.

    ``slot`` is its place in the plan, ``digest`` tells by which recipe it was started and ``content`` of which local
    artifacts; ``ready`` is whether it was
    last seen to serve ``release``, ``started`` the wall-clock time of its start.
    """

    name: str
    role: Literal["gateway", "replica"]
    service: str
    shards: list[int]
    pid: int
    born: str
    data: str
    control: str
    slot: str = ""
    release: str = ""
    digest: str = ""
    content: str = ""
    code: str = ""
    ready: bool = False
    started: float = 0.0
    restarts: int = 0
    last_end: str = ""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in a run folder: the app as it was named on the command line, and where clients find it."""

    target: str
    url: str


class RunDir:
    """A run folder. Paths of Unix sockets are short: where ``path`` is too long for one, the sockets live elsewhere."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.sockets = self.path
        if len(os.fsencode(self.path)) + _LONGEST_NAME + _LONGEST_SUFFIX > MAX_UNIX_PATH:
            digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
            self.sockets = Path(tempfile.gettempdir()) / f"kapelle-{os.getuid()}-{digest}"
        self._lock: int | None = None

    @property
    def controller(self) -> str:
        """The controller's address."""
        return self._socket("controller")

    def control(self, name: str) -> str:
        """Where a process hears its supervisors."""
        return self._socket(f"{_short(name)}.control")

    def data(self, name: str) -> str:
        """Where a replica takes calls."""
        return self._socket(f"{_short(name)}.data")

    def door(self, name: str) -> Path:
        """Where a gateway lends the door."""
        return self.sockets / f"{_short(name)}.door"

    def acquire(self) -> None:
        """Become the one controller of this folder.

        Raises:
            StartError: another one is, or the folder cannot be used.
        """
        while self._lock is None:
            _prepare(self.path)
            self._lock = self._take_lock()
        _prepare(self.sockets)

    def _take_lock(self) -> int | None:
        """The lock; None when the controller that held it has removed it meanwhile."""
        path = self.path / _LOCK
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except FileNotFoundError:
            pass  # whoever held it removed the folder meanwhile: the lock is of no use, and is tried for again
        except BlockingIOError:
            os.close(lock)
            raise StartError(
                f"a controller already runs for {self.path}; `kapelle status` shows what it runs, "
                "or choose another folder with --run-dir"
            ) from None
        os.close(lock)
        return None

    @property
    def has_controller(self) -> bool:
        """Whether somebody answers as its controller. The lock is left alone: one that starts just now needs it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(_ANSWER)
            try:
                channel.connect(self.controller.removeprefix("unix:"))
            except OSError:
                return False
            return True

    @property
    def is_closed(self) -> bool:
        """Whether it is another user's, and what runs in it cannot be seen."""
        return self.path.is_dir() and not os.access(self.path, os.R_OK | os.X_OK)

    def controls(self) -> list[str]:
        """Where processes hear their supervisors, or did."""
        return [f"unix:{path}" for path in sorted(self.sockets.glob("*.control"))]

    def doors(self) -> list[Path]:
        """Where gateways lend the door, or did."""
        return sorted(self.sockets.glob("*.door"))

    def records(self) -> list[Record]:
        """The processes of the last controller; none when the file is missing or was cut short."""
        try:
            return msgspec.json.decode((self.path / _PROCESSES).read_bytes(), type=list[Record])
        except (OSError, msgspec.MsgspecError):
            return []

    def record(self, records: list[Record]) -> None:
        """Write what runs, in one step.

        Raises:
            OSError: there is no room for it, or the folder is gone.
        """
        self._write(_PROCESSES, msgspec.json.encode(records))

    def system(self) -> System | None:
        """What runs here; None when nothing was ever started."""
        try:
            return msgspec.json.decode((self.path / _SYSTEM).read_bytes(), type=System)
        except (OSError, msgspec.MsgspecError):
            return None

    def record_system(self, system: System) -> None:
        """Write what runs here.

        Raises:
            OSError: there is no room for it.
        """
        self._write(_SYSTEM, msgspec.json.encode(system))

    def remove(self) -> None:
        """Nothing runs any more: leave nothing of ours behind."""
        for folder in {self.sockets, self.path}:
            with suppress(OSError):
                for path in folder.iterdir():
                    if _is_ours(path):
                        path.unlink(missing_ok=True)
                folder.rmdir()
        self.release()
        if self.path.parent.name == ".kapelle":
            with suppress(OSError):
                self.path.parent.rmdir()

    def release(self) -> None:
        """Be its controller no more; what runs goes on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _socket(self, name: str) -> str:
        return f"unix:{self.sockets / name}"

    def _write(self, name: str, content: bytes) -> None:
        fresh = self.path / f"{_PROCESSES}.new"
        fresh.write_bytes(content)
        fresh.replace(self.path / name)


def _short(name: str) -> str:
    """The name of a process as it fits into the path of a socket."""
    return (
        name if len(os.fsencode(name)) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()[:_LONGEST_NAME]
    )


def _prepare(folder: Path) -> None:
    """Make a folder that only we can enter, or check that an existing one is fit to be that.

    Raises:
        StartError: it is not.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        foreign = sorted(path.name for path in folder.iterdir() if not _is_ours(path))
    except OSError as error:
        raise StartError(f"{folder} cannot be a run folder: {error.strerror}; choose another with --run-dir") from None
    if found.st_uid != os.getuid():
        raise StartError(f"{folder} belongs to another user; choose another with --run-dir")
    if foreign:
        # At the end the folder is cleared, and meanwhile it is closed to others: that must not hit anybody's files.
        raise StartError(
            f"{folder} holds other files ({', '.join(foreign[:3])}); --run-dir takes an empty or a new folder"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def _is_ours(path: Path) -> bool:
    return path.name in _OURS or path.suffix == _REGIONS or (path.suffix in _SOCKETS and path.is_socket())
