"""The folder of a running system: its sockets, the record of its processes, and the lock of its one controller."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from kapelle.errors import StartError
from kapelle.transport.sockets import MAX_UNIX_PATH

_LONGEST_NAME = 48


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started: enough to find it again. ``born`` tells it from a later one of the same number."""

    name: str
    role: str
    service: str
    shards: list[int]
    pid: int
    born: str
    data: str
    control: str


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in a run folder: the app as it was named on the command line, and where clients find it."""

    target: str
    url: str


class RunDir:
    """A run folder. Paths of Unix sockets are short: where ``path`` is too long for one, the sockets live elsewhere."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.sockets = self.path
        if len(str(self.path)) + _LONGEST_NAME > MAX_UNIX_PATH:
            digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
            self.sockets = Path(tempfile.gettempdir()) / f"kapelle-{os.getuid()}-{digest}"
        self._lock: int | None = None

    @property
    def controller(self) -> str:
        """The controller's address."""
        return f"unix:{self.sockets / 'controller'}"

    def acquire(self) -> None:
        """Become the one controller of this folder.

        Raises:
            StartError: another one is.
        """
        for folder in (self.path, self.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise StartError(f"{folder} belongs to another user; choose another with --run-dir")
            folder.chmod(0o700)
        self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise StartError(
                f"a controller already runs for {self.path}; `kapelle status` shows what it runs, "
                "or choose another folder with --run-dir"
            ) from None

    def socket(self, name: str) -> str:
        """The address for a process's socket."""
        return f"unix:{self.sockets / name}"

    def records(self) -> list[Record]:
        """The processes of the last controller; none when the file is missing or was cut short."""
        try:
            return msgspec.json.decode((self.path / "processes.json").read_bytes(), type=list[Record])
        except (FileNotFoundError, msgspec.MsgspecError):
            return []

    def record(self, records: list[Record]) -> None:
        """Write what runs, in one step."""
        fresh = self.path / "processes.json.new"
        fresh.write_bytes(msgspec.json.encode(records))
        fresh.replace(self.path / "processes.json")

    def system(self) -> System | None:
        """What runs here; None when nothing was ever started."""
        try:
            return msgspec.json.decode((self.path / "system.json").read_bytes(), type=System)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def record_system(self, system: System) -> None:
        """Write what runs here."""
        (self.path / "system.json").write_bytes(msgspec.json.encode(system))

    def remove(self) -> None:
        """Nothing runs any more: leave nothing behind."""
        shutil.rmtree(self.sockets, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        parent = self.path.parent
        if parent.name == ".kapelle" and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
