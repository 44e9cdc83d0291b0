"""Where links over a network arrive: TLS and the handshake first, then they are paired as all others are."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import cast

from kapelle.tasks import Tasks
from kapelle.transport.complaints import Complaints
from kapelle.transport.credentials import Credentials, PeerTls
from kapelle.transport.greeter import Caller, Host, LinkRefusedError
from kapelle.transport.handshake import Dialling, Listening
from kapelle.transport.lane import Lane, remote_host
from kapelle.transport.stream import PAIRING_TIMEOUT, LanePairing

_TLS_STEP = "peer_certificate must be signed by the same peer_authority on both sides"


class Reception:
    """One listener's."""

    def __init__(self, credentials: Credentials, pairing: LanePairing, complaints: Complaints) -> None:
        self._credentials = credentials
        self._pairing = pairing
        self._complaints = complaints
        self._greeting = Tasks()

    def arrival(self) -> asyncio.BaseProtocol:
        """The protocol for a socket that was just accepted."""
        return self._host() if self._credentials.tls is None else _Arrival(self)

    def secure(self, arrived: socket.socket) -> None:
        """Go on over TLS with a socket of its own."""
        self._greeting.spawn(self._begin_tls(arrived))

    def _host(self) -> Host:
        return Host(Listening(self._credentials.secret), self._admit, self._complain, PAIRING_TIMEOUT)

    async def _begin_tls(self, arrived: socket.socket) -> None:
        assert self._credentials.tls is not None
        remote = _peer(arrived)
        if not await _has_spoken(arrived):
            arrived.close()  # probes of ports connect and go without a word, which is nothing to complain of
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._host,
                arrived,
                ssl=self._credentials.tls.listens,
                ssl_handshake_timeout=PAIRING_TIMEOUT,
                ssl_shutdown_timeout=PAIRING_TIMEOUT,
            )
        except OSError as error:
            self._complaints.about(remote, f"TLS: {_said(error)}", _TLS_STEP)

    def _admit(self, lane: Lane, link: bytes, name: bytes) -> None:
        self._complaints.past()
        self._pairing.admit(lane, link, name)

    def _complain(self, transport: asyncio.Transport, reason: str, next_step: str) -> None:
        self._complaints.about(remote_host(transport), reason, next_step)


class _Arrival(asyncio.Protocol):
    """A socket that leaves its transport at once: only a handshake that is awaited can be seen to fail."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            arrived = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:
            arrived = None  # no room for another open file: the other side dials again
        cast(asyncio.Transport, transport).abort()
        if arrived is not None:
            arrived.setblocking(False)
            self._reception.secure(arrived)


async def call(host: str, port: int, credentials: Credentials, link: bytes, lane: bytes) -> Lane:
    """Dial one lane of a link, and let both sides show what they have.

    Raises:
        OSError: nobody listens there.
        LinkRefusedError: one side does not trust the other.
    """
    caller = await _reach(host, port, credentials.tls, Dialling(credentials.secret, link, lane))
    try:
        return await caller.lane
    except asyncio.CancelledError:
        caller.give_up()
        raise


async def _reach(host: str, port: int, tls: PeerTls | None, handshake: Dialling) -> Caller:
    loop = asyncio.get_running_loop()
    if tls is None:
        return (await loop.create_connection(lambda: Caller(handshake, PAIRING_TIMEOUT), host, port))[1]
    try:
        _, caller = await loop.create_connection(
            lambda: Caller(handshake, PAIRING_TIMEOUT),
            host,
            port,
            ssl=tls.dials,
            ssl_handshake_timeout=PAIRING_TIMEOUT,
            ssl_shutdown_timeout=PAIRING_TIMEOUT,
        )
    except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
        raise LinkRefusedError(f"TLS: {_said(error)}; {_TLS_STEP}") from None
    return caller


def _said(error: OSError) -> str:
    """What OpenSSL says, without the place in its sources; or that the other side has had enough."""
    if not isinstance(error, ssl.SSLError):
        return f"the other side has broken it off ({str(error) or 'closed'})"
    said = (error.reason or str(error)).replace("_", " ").lower()
    return f"{said}, {error.verify_message}" if isinstance(error, ssl.SSLCertVerificationError) else said


async def _has_spoken(arrived: socket.socket) -> bool:
    """Whether the other side says anything in time. Nothing is taken from the socket."""
    loop = asyncio.get_running_loop()
    spoken = asyncio.Event()
    loop.add_reader(arrived, spoken.set)
    try:
        async with asyncio.timeout(PAIRING_TIMEOUT):
            await spoken.wait()
        return arrived.recv(1, socket.MSG_PEEK) != b""
    except OSError:  # a time-out is one
        return False
    finally:
        loop.remove_reader(arrived)


def _peer(arrived: socket.socket) -> str:
    try:
        return str(arrived.getpeername()[0])
    except OSError:
        return ""  # it is gone already
