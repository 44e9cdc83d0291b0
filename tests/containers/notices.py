"""What daemons send to their service manager when they are ready; the tests listen in its place."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class Notices:
    """A socket at ``path``; a daemon with that path in ``NOTIFY_SOCKET`` says there that it is ready."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        self._socket.bind(str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def wait(self, *, within: float, process: int | None = None) -> str:
        """Wait until the daemon is ready: what became of it instead, or nothing. ``process`` is watched meanwhile."""
        ended = [] if process is None else [os.pidfd_open(process)]
        try:
            heard, _, _ = select.select([self._socket.fileno(), *ended], [], [], within)
        finally:
            for each in ended:
                os.close(each)
        if self._socket.fileno() in heard and b"READY=1" in self._socket.recv(4096):
            return ""
        return "it ended" if heard else f"it was not ready within {within:g} s"
