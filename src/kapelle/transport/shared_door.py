"""The door of a machine whose processes live in containers: one holds the port, any number of gateways let clients in.

A published port belongs to one container. That one does nothing but keep the listening socket, and lends it to the gateways
over a Unix socket in a folder that they share; so gateways come and go while clients find the same door.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from kapelle.transport.closed_door import ClosedDoor

log = structlog.get_logger()

_NAME = "entrance"
_EVERY = 0.2
"""Seconds between two looks for a door that is not there."""
_MANY = 256
GRPC = ".grpc"
"""What the sockets of gateways that take gRPC end with."""
_DEAD = (".door", ".heir", GRPC)

_Borrowed = tuple[socket.socket, socket.socket]
"""The door, and the connection that lasts as long as its keeper does."""


class DoorKeeper:
    """Lends ``door`` to all who ask in ``folder``, and stays connected to them: so they know when it is gone."""

    def __init__(self, folder: Path, door: socket.socket) -> None:
        self._door = door
        self._path = folder / _NAME
        self._borrowers: set[socket.socket] = set()
        self._closed = ClosedDoor(door)
        self._closed.closed()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._lend)

    @property
    def borrowers(self) -> int:
        """How many gateways have the door."""
        return len(self._borrowers)

    def close(self) -> None:
        """Lend no more."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for borrower in list(self._borrowers):
            self._forget(borrower)
        self._closed.opened()

    def _lend(self) -> None:
        with suppress(OSError):  # whoever asked may be gone again
            borrower, _ = self._listener.accept()
            borrower.setblocking(False)
            if len(self._borrowers) >= _MANY:
                borrower.close()
                return
            self._borrowers.add(borrower)
            self._closed.opened()
            asyncio.get_running_loop().add_reader(borrower, self._forget, borrower)
            socket.send_fds(borrower, [b"door"], [self._door.fileno()])

    def _forget(self, borrower: socket.socket) -> None:
        # Nothing is ever said here but the end.
        asyncio.get_running_loop().remove_reader(borrower)
        borrower.close()
        self._borrowers.discard(borrower)
        if not self._borrowers and self._listener.fileno() >= 0:
            self._closed.closed()


def take_door(folder: Path) -> socket.socket:
    """The door that is kept in ``folder``; blocks until there is one. What gateways that are gone left is cleared away.

    Raises:
        OSError: the folder cannot be used.
    """
    for path in folder.iterdir():
        if path.suffix in _DEAD and not _answers(path):
            path.unlink(missing_ok=True)
    told = False
    while True:
        borrowed = _borrow(folder)
        if borrowed is not None:
            door, channel = borrowed
            channel.close()
            return door
        if not told:
            log.warning("waiting for the door", folder=str(folder))
            told = True
        time.sleep(_EVERY)


async def follow_door(folder: Path, door: socket.socket, move: Callable[[socket.socket], Awaitable[None]]) -> None:
    """Watch over the door that was taken; when it is another one, ``move`` to that. Runs until cancelled."""
    inode = os.fstat(door.fileno()).st_ino
    loop = asyncio.get_running_loop()
    while True:
        borrowed = await _borrow_beside(folder)
        if borrowed is not None:
            found, channel = borrowed
            with channel:
                if os.fstat(found.fileno()).st_ino == inode:
                    found.close()
                else:
                    inode = os.fstat(found.fileno()).st_ino
                    log.warning("the door is another one; clients are let in there")
                    await move(found)
                channel.setblocking(False)
                with suppress(OSError):
                    await loop.sock_recv(channel, 1)
        await asyncio.sleep(_EVERY)


async def _borrow_beside(folder: Path) -> _Borrowed | None:
    borrowing = asyncio.get_running_loop().run_in_executor(None, _borrow, folder)
    try:
        return await asyncio.shield(borrowing)
    except asyncio.CancelledError:
        borrowing.add_done_callback(_give_back)  # or a door that is no more would stay open here
        raise


def _give_back(borrowing: asyncio.Future[_Borrowed | None]) -> None:
    for one in borrowing.result() or ():
        one.close()


def _borrow(folder: Path) -> _Borrowed | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(1.0)
        channel.connect(str(folder / _NAME))
        _, handles, _, _ = socket.recv_fds(channel, 16, 1)
    except OSError:
        handles = []
    if not handles:
        channel.close()
        return None
    door = socket.socket(fileno=handles[0])
    door.set_inheritable(False)
    door.setblocking(False)
    return door, channel


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(1.0)
        try:
            channel.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True
