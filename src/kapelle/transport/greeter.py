"""The beginning of a link that must be earned: tiny greetings, until both sides know who they speak to.

What greets is not the lane that comes after it. It reads one bounded greeting after the other, and never a byte beyond;
when the handshake is over, the socket goes to a lane, which knows nothing of all this.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from kapelle.transport.handshake import MAX_GREETING, Dialling, Listening, Refusal, RefusedError
from kapelle.transport.lane import Lane
from kapelle.transport.tls_lane import TlsLane
from kapelle.wire.frames import PREFIX, encode

_lengths = struct.Struct("<II").unpack_from
_TLS = (b"\x15\x03", b"\x16\x03")
"""What an alert and a greeting of TLS begin with."""


class LinkRefusedError(ConnectionError):
    """A link over a network did not come to be, because one side does not trust the other; the text says why."""


class Greeter(asyncio.BufferedProtocol):
    """One socket until it is a lane, or ``patience`` seconds are over.

    Who fails is not listened to any more: what still comes is thrown away until the socket ends.
    """

    def __init__(self, patience: float) -> None:
        self._transport: asyncio.Transport | None = None
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = memoryview(bytearray(PREFIX + MAX_GREETING))
        self._have, self._need = 0, PREFIX
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._run_out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._stop_timer()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer if self._deaf else self._buffer[self._have : self._need]

    def buffer_updated(self, nbytes: int) -> None:
        if self._deaf:
            return
        self._have += nbytes
        if self._have < self._need:
            return
        if self._need == PREFIX:
            head, body = _lengths(self._buffer)
            if body or not 0 < head <= MAX_GREETING:
                speaks_tls = bytes(self._buffer[:2]) in _TLS
                self._failed("it speaks TLS, this side does not" if speaks_tls else Refusal.NONSENSE.text)
                return
            self._need = PREFIX + head
            return
        head = bytes(self._buffer[PREFIX : self._need])
        self._have, self._need = 0, PREFIX
        self._heard(head)

    def say(self, greeting: bytes) -> None:
        """Send one greeting."""
        if self._transport is not None:
            self._transport.write(b"".join(encode(greeting)))

    def part(self, last: bytes = b"") -> None:
        """Send ``last`` and end, hearing nothing more. A socket closed over unread bytes would take ``last`` back."""
        self._deaf = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if last:
            self.say(last)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def abort(self) -> None:
        """End at once."""
        self._deaf = True
        if self._transport is not None:
            self._transport.abort()

    def into_lane(self) -> Lane:
        """Give the socket to a lane. Whatever has not been read is the lane's."""
        transport, self._transport = self._transport, None
        assert transport is not None
        self._stop_timer()
        lane = TlsLane() if transport.get_extra_info("ssl_object") is not None else Lane()
        lane.connection_made(transport)
        transport.set_protocol(lane)
        return lane

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run_out(self) -> None:
        """The time is over."""
        self.abort()

    def _heard(self, head: bytes) -> None:
        """A greeting."""
        raise NotImplementedError

    def _failed(self, reason: str) -> None:
        """What comes is no greeting."""
        raise NotImplementedError


class Caller(Greeter):
    """The side that dials. ``lane`` is the outcome."""

    def __init__(self, handshake: Dialling, patience: float) -> None:
        super().__init__(patience)
        self._handshake = handshake
        self.lane: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(self._handshake.hello)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fail(f"the other side ended the link before it had greeted ({exc or 'closed'}); its log says why")

    def give_up(self) -> None:
        """Nobody waits for the lane any more."""
        if self.lane.done() and not self.lane.cancelled() and self.lane.exception() is None:
            self.lane.result().abort()
        self.abort()

    def _heard(self, head: bytes) -> None:
        try:
            answer = self._handshake.received(head)
        except RefusedError as error:
            self._fail(f"{error.seen.text}: {error.seen.next_step}")
            self.part(error.tell)
            return
        if answer is not None:
            self.say(answer)
        elif not self.lane.done():
            self.lane.set_result(self.into_lane())

    def _failed(self, reason: str) -> None:
        self._fail(f"{reason}: see what listens at that address, and whether peer_certificate is set on both sides")
        self.abort()

    def _run_out(self) -> None:
        self._fail(f"the other side did not answer the greeting within {self._patience:g} s")
        super()._run_out()

    def _fail(self, reason: str) -> None:
        if not self.lane.done():
            self.lane.set_exception(LinkRefusedError(reason))
            self.lane.exception()  # who dialled may have gone away meanwhile, which is no error of its own


class Host(Greeter):
    """The side that was dialled. ``admit`` gets what has earned to be a lane; ``complain`` why another has not."""

    def __init__(
        self,
        handshake: Listening,
        admit: Callable[[Lane, bytes, bytes], None],
        complain: Callable[[asyncio.Transport, str, str], None],
        patience: float,
    ) -> None:
        super().__init__(patience)
        self._handshake = handshake
        self._admit = admit
        self._complain = complain

    def _heard(self, head: bytes) -> None:
        try:
            answer, trusted = self._handshake.received(head)
        except RefusedError as error:
            self._tell_of(error.seen.text, error.seen.next_step)
            self.part(error.tell)
            return
        self.say(answer)
        if trusted:
            self._admit(self.into_lane(), self._handshake.link, self._handshake.lane)

    def _failed(self, reason: str) -> None:
        self._tell_of(reason, "see who dials this port, and whether peer_certificate is set on both sides")
        self.abort()

    def _tell_of(self, reason: str, next_step: str) -> None:
        if self._transport is not None:
            self._complain(self._transport, reason, next_step)
