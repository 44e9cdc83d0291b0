"""A lane: one socket that carries frames. Frames of one turn of the event loop leave in one system call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from kapelle.errors import WireError
from kapelle.wire.body import Buffer
from kapelle.wire.frames import Frame, FrameReader

_LINGER = 5.0
"""Seconds the other side may take to close its half, once all that was sent has left."""


_UNHEARD_AFTER = 1200
"""Milliseconds in which the other side's machine acknowledges nothing of what was sent, after which it is given up."""
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it


class Lane(asyncio.BufferedProtocol):
    """One socket: reads frames, writes buffers. ``broken`` tells an end in the middle of things from an orderly one."""

    def __init__(self) -> None:
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._pending: list[Buffer] = []
        self._early: list[Frame] = []
        self._on_frames: Callable[[list[Frame]], None] = self._early.extend
        self._on_lost: Callable[[str], None] | None = None
        self._reason = ""
        self._ended = False
        self._lingering: asyncio.TimerHandle | None = None

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        """Deliver to these from now on, whatever came before included."""
        self._on_frames = on_frames
        self._on_lost = on_lost
        early, self._early = self._early, []
        if early:
            on_frames(early)
        if self._ended:
            self._report()

    def deliver_to(self, on_frames: Callable[[list[Frame]], None]) -> None:
        """Deliver what comes next elsewhere; the end is reported as before."""
        self._on_frames = on_frames

    def hold(self, frames: list[Frame], on_lost: Callable[[str], None]) -> None:
        """Keep ``frames`` and all that follow for whoever calls ``start`` next."""
        self._early = frames
        self._on_frames = frames.extend
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            frames = self._reader.received(nbytes)
        except WireError as error:
            self._break(str(error))
            return
        if frames:
            self._deliver(frames)

    def _deliver(self, frames: list[Frame]) -> None:
        self._on_frames(frames)

    def eof_received(self) -> None:
        try:
            self._reader.eof()
        except WireError as error:
            self._break(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pending = []
        self._ended = True
        if exc is not None:
            self.broken = True
        if self._lingering is not None:
            self._lingering.cancel()
        self._reason = self._reason or (str(exc) if exc is not None else "closed by the other side")
        self._report()

    def give_up_unheard(self) -> None:
        """Have the system end the connection when the other machine is gone, which says nothing of it.

        A machine acknowledges what it gets however busy its processes are: that tells a dead one sooner than silence does.
        It does not, though, as long as a process leaves too much of it unread.
        """
        plain = None if self._transport is None else self._transport.get_extra_info("socket")
        if plain is not None and plain.family != socket.AF_UNIX and _USER_TIMEOUT is not None:
            plain.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, _UNHEARD_AFTER)

    def write(self, buffers: list[Buffer], *, at_once: bool = False) -> None:
        """Queue ``buffers``, which are not copied, to leave at the end of the turn or at once."""
        if not self._pending and not at_once:
            self._loop.call_soon(self._flush)
        self._pending += buffers
        if at_once:
            self._flush()

    @property
    def backlog(self) -> int:
        waiting = sum(map(len, self._pending))
        return waiting + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    @property
    def remote(self) -> str:
        """The host at the other end; empty where there is none, as with Unix sockets."""
        return remote_host(self._transport)

    def close(self) -> None:
        """Send what is queued, then end.

        Only this half is closed at first: a socket that is closed while something unread lies in it takes back what it
        has sent.
        """
        if self._transport is None or self._transport.is_closing() or self._lingering is not None:
            return
        self._flush()
        self._reason = self._reason or "closed here"
        self._on_frames = _ignore
        self._end_writing(self._transport)
        self._lingering = self._loop.call_later(_LINGER, self._linger)

    def abort(self, reason: str = "closed here") -> None:
        """End at once."""
        self._break(reason)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if self._transport is None or self._transport.is_closing() or not pending:
            return
        if self._lingering is not None:
            return  # this half is closed
        if len(pending) == 1:
            self._transport.write(pending[0])
        else:
            self._transport.writelines(pending)

    def _end_writing(self, transport: asyncio.Transport) -> None:
        transport.write_eof()

    def _linger(self) -> None:
        if self.backlog:
            self._lingering = self._loop.call_later(_LINGER, self._linger)
        else:
            self._break("the other side did not close")

    def _break(self, reason: str) -> None:
        self._pending = []
        self._on_frames = _ignore
        if self._transport is not None:
            self.broken = True
            self._reason = self._reason or reason
            self._transport.abort()

    def _report(self) -> None:
        # What was told of the end, or would have been told of more, is not kept alive by this lane.
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            self._on_frames = _ignore
            on_lost(self._reason)


def remote_host(transport: asyncio.BaseTransport | None) -> str:
    """The address of the other end, without its port; empty where there is none."""
    peer = None if transport is None else transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _ignore(frames: list[Frame]) -> None:
    pass
