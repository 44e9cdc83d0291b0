"""Starting a process: its sockets listen before it exists, so that whoever dials them waits in the kernel's queue."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from kapelle.config.orders import Holding
from kapelle.control.recipes import Recipe
from kapelle.transport import sockets
from kapelle.transport.sockets import Address


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that was just started; ``data`` is its address for calls ("" for a gateway)."""

    popen: subprocess.Popen[bytes]
    data: str


def spawn(
    recipe: Recipe, name: str, holding: Holding, control: Address, data: Address | None, door: int | None
) -> Spawned:
    """Start a process that holds ``holding``.

    It serves ``control`` and ``data`` (port 0 takes a free one), or accepts at the ``door``.

    Raises:
        OSError: the machine has no room for it: a socket, a process number, memory.
    """
    with ExitStack() as ours:
        listening = ours.enter_context(sockets.bind(control))
        work, address = door, ""
        if data is not None:
            bound = ours.enter_context(sockets.bind(data))
            work, address = bound.fileno(), str(_bound_address(data, bound.getsockname()))
        assert work is not None, "a process has a data socket or the door"
        text = ours.enter_context(letter(recipe.orders(name, holding, work, listening.fileno())))
        popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            # -P: a file of the user's in the current folder stands for no module that we import.
            [sys.executable, "-P", "-m", recipe.module, name],
            stdin=text,
            pass_fds=(work, listening.fileno()),
            # A session of its own: Ctrl-C reaches the controller alone, which drains the others in the right order.
            start_new_session=True,
            env={**os.environ, **recipe.environment},
        )
    return Spawned(popen, address)


def _bound_address(asked: Address, name: object) -> Address:
    if asked.kind == "unix" or not isinstance(name, tuple):
        return asked
    return Address("tcp", asked.host, int(name[1]))


def letter(orders: bytes) -> IO[bytes]:
    """The orders as a file to be read from its start; no disk is needed where the system can keep it in memory.

    A command line has a limit that settings and shards may pass, and everybody could read it.
    """
    if hasattr(os, "memfd_create"):
        text: IO[bytes] = os.fdopen(os.memfd_create("orders"), "w+b")
    else:
        text = tempfile.TemporaryFile()  # noqa: SIM115 - a child inherits it, and the caller closes it
    text.write(orders)
    text.flush()
    text.seek(0)
    return text
