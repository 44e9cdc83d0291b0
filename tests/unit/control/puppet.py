"""A process that does what its orders say: a stand-in for a replica that needs no app and starts fast.

``python -m tests.unit.control.puppet NAME`` reads a JSON object from its standard input: ``control`` and ``data`` are the
numbers of its sockets, ``play`` is what it does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys

from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.supervision import Supervised
from kapelle.wire.frames import Frame
from kapelle.wire.messages import Acquainted


async def main() -> int:
    """Play the part; the exit code."""
    orders = json.load(sys.stdin)
    play = orders["play"]
    asked = asyncio.Event()
    control = socket.socket(fileno=orders["control"])
    if play == "exit":
        return 3
    if play == "silent":
        await asyncio.Event().wait()
    if play == "garbage":
        await sockets.serve(control, _talk_nonsense)
        await asyncio.Event().wait()
    state = "starting" if play == "start forever" else "ready"
    supervised = Supervised(
        health=lambda: (state, "as told", 2, 5),
        collect=list,
        on_drain=lambda _: asked.set(),
        # Only gateways are told of the others.
        on_members=lambda members: supervised.tell_controller(Acquainted(members.version)),
    )
    await sockets.serve(control, supervised.accept)
    if play == "fail":
        await supervised.fail(ValueError("no such\nmodel"))
        return 1
    if play == "ignore drain":
        await asyncio.Event().wait()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()
    await supervised.close()
    return 7 if play == "leave work" else 0


def _talk_nonsense(connection: Connection) -> None:
    def answer(_: list[Frame]) -> None:
        connection.send(b"nonsense")

    connection.start(answer, lambda _: os._exit(0))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
