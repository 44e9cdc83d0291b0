"""What is said to one other side: the small messages of one turn of the event loop leave as one.

To make a frame of a message, to cut it out again and to decode it costs about as much as what the message is about, if
that is a small call. So those that leave together anyway are encoded, framed and decoded together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from kapelle.transport.connection import Connection, is_bulk
from kapelle.wire import messages
from kapelle.wire.body import Buffer

SMALL = 4 << 10
"""Bytes of content up to which a message waits for others."""
_MOST = 256
"""Messages that leave as one: far from what a frame may hold, whatever is in them."""

M = TypeVar("M", bound=messages.Message)


class Outbox(Generic[M]):
    """The way out to ``connection``; ``together`` makes one message of several. Their order is kept."""

    def __init__(self, connection: Connection, together: Callable[[list[M]], messages.Message]) -> None:
        self._connection = connection
        self._together = together
        self._loop = asyncio.get_running_loop()
        self._waiting: list[M] = []

    def say(self, message: M, segments: Sequence[Buffer] = (), *, bulk: bool = False, at_once: bool = False) -> bool:
        """Say something; whether it travels among the large frames, as with ``bulk`` it does in any case.

        ``at_once`` is for who has nothing else to say in this turn.

        Raises:
            WireError: it is larger than any reader takes.
        """
        if segments or bulk or message.size > SMALL:
            self.leave()
            head = messages.encode(message)
            bulk = bulk or is_bulk(head, segments)
            self._connection.send(head, segments, bulk=bulk, at_once=at_once)
            return bulk
        if not self._waiting and not at_once:
            self._loop.call_soon(self.leave)
        self._waiting.append(message)
        if at_once or len(self._waiting) == _MOST:
            self.leave()
        return False

    def leave(self) -> None:
        """Send what waits."""
        waiting = self._waiting
        if waiting:
            self._waiting = []
            message = waiting[0] if len(waiting) == 1 else self._together(waiting)
            self._connection.send(messages.encode(message), bulk=False, at_once=True)

    def close(self) -> None:
        """Send what waits, and end the connection."""
        self.leave()
        self._connection.close()
