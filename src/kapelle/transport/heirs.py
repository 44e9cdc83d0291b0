"""Connections of clients that change hands: a gateway that goes away leaves those that rest to others of its machine.

To close one would be a gamble: a request may be on its way already, and few clients repeat one that may have been
carried out. Handed over, it waits in the socket until whoever took the connection reads it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".heir"
_AT_ONCE = 100
"""Sockets in a message; the kernel takes 253."""
_LONGEST = 16
"""Bytes of what is said beside the sockets: how many they are."""
_PATIENCE = 5.0
"""Seconds for an heir to take what it is given."""
_TAKEN = b"taken"


class Heir:
    """Takes connections that others leave, beside its ``door``; the run folder's mode says who may leave any."""

    def __init__(self, door: Path, take: Callable[[socket.socket], object]) -> None:
        self._path = door.with_suffix(_SUFFIX)
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._givers: set[socket.socket] = set()
        self._path.unlink(missing_ok=True)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._meet)

    def _meet(self) -> None:
        with suppress(OSError):  # it may be gone again
            giver, _ = self._listener.accept()
            giver.setblocking(False)
            self._givers.add(giver)
            self._loop.add_reader(giver, self._inherit, giver)

    def _inherit(self, giver: socket.socket) -> None:
        with suppress(OSError):  # gone in the middle of it: what came is taken, the rest was never given
            said, handles, _, _ = socket.recv_fds(giver, _LONGEST, _AT_ONCE)
            clients = [socket.socket(fileno=handle) for handle in handles]
            if said == b"%d" % len(clients):
                for client in clients:
                    client.set_inheritable(False)
                    client.setblocking(False)
                    self._take(client)
                giver.send(_TAKEN)
            else:
                # Not all of them came: there is no room for so many open files here.
                for client in clients:
                    client.close()
        self._part(giver)

    def _part(self, giver: socket.socket) -> None:
        self._givers.remove(giver)
        self._loop.remove_reader(giver)
        giver.close()

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for giver in list(self._givers):
            self._part(giver)


def heirs_in(folder: Path) -> list[Path]:
    """Where connections may be left."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


async def leave_to(heirs: Iterable[Path], clients: list[socket.socket]) -> list[socket.socket]:
    """Give connections to the first of the heirs that takes them; those that nobody took. The others are closed here."""
    return await asyncio.to_thread(_leave_to, list(heirs), clients)


def _leave_to(heirs: list[Path], clients: list[socket.socket]) -> list[socket.socket]:
    left = list(clients)
    for heir in heirs:
        while left and _give(heir, left[:_AT_ONCE]):
            for client in left[:_AT_ONCE]:
                client.close()
            del left[:_AT_ONCE]
    return left


def _give(heir: Path, clients: list[socket.socket]) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_PATIENCE)
        try:
            channel.connect(str(heir))
            socket.send_fds(channel, [b"%d" % len(clients)], [client.fileno() for client in clients])
            return channel.recv(len(_TAKEN)) == _TAKEN
        except TimeoutError:
            # It may take them yet, and two must not read from one connection.
            return True
        except OSError:
            return False
