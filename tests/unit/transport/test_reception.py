"""Links over TCP with credentials: those who have them are let in, all others hear why not, on both sides."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kapelle.transport import complaints, reception, sockets
from kapelle.transport.complaints import Complaints
from kapelle.transport.connection import Connection
from kapelle.transport.credentials import Credentials
from kapelle.transport.greeter import LinkRefusedError
from kapelle.transport.sockets import Address
from tests.certificates import Authority, make_authority
from tests.unit.transport.ends import End, tls_of

SECRET, OTHER = b"the secret of this system", b"the secret of another one"


class Log:
    """What is logged about links that were refused."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    def warning(self, event: str, **fields: str) -> None:
        assert event == "a link was refused"
        self.lines.put_nowait(fields)


@dataclass
class Listener:
    """A listener, and what it has let in and logged."""

    address: Address
    server: asyncio.Server
    accepted: asyncio.Queue[Connection]
    log: Log
    ends: list[End] = field(default_factory=list)

    async def works_with(self, credentials: Credentials) -> bool:
        """Whether one with these is served, in both directions."""
        here = End(await sockets.connect(self.address, credentials)).start()
        there = End(await self.accepted.get()).start()
        self.ends += here, there
        here.connection.send(b"question")
        await there.received(1)
        there.connection.send(b"answer", [bytes(1 << 20)])
        await here.received(1)
        return (here.heads, there.heads) == ([b"answer"], [b"question"])

    async def warned(self) -> str:
        """The reason and the next step of the warning that comes."""
        line = await self.log.lines.get()
        assert line.pop("remote") == "127.0.0.1"
        return "; ".join(line.values())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(complaints, "log", log)
    return log


@pytest.fixture
async def listen(log: Log) -> AsyncIterator[Any]:
    opened: list[Listener] = []

    async def open_one(credentials: Credentials | None) -> Listener:
        accepted: asyncio.Queue[Connection] = asyncio.Queue()
        bound = sockets.bind(Address("tcp", "127.0.0.1"))
        address = Address("tcp", "127.0.0.1", bound.getsockname()[1])
        server = await sockets.serve(bound, accepted.put_nowait, credentials)
        opened.append(Listener(address, server, accepted, log))
        return opened[-1]

    yield open_one
    for one in opened:
        for end in one.ends:
            end.connection.abort()
            await end.ended()
        one.server.close()
        await one.server.wait_closed()


@pytest.mark.parametrize("secret", [SECRET, None])
async def test_members_of_one_authority_talk(listen: Any, authority: Authority, secret: bytes | None) -> None:
    one, other = (Credentials(secret, tls_of(authority.sign(name))) for name in ("one", "other"))
    listener = await listen(one)
    assert await listener.works_with(other)
    assert listener.log.lines.empty()


@pytest.mark.parametrize(
    ("dials", "listens", "heard", "logged"),
    [
        (OTHER, SECRET, "the secret does not match that of the other side", "the secret does not match"),
        (SECRET, None, "the other side has no secret, and this process demands", "the other side demands a secret"),
    ],
)
async def test_without_the_same_secret_both_sides_say_so(
    listen: Any, dials: bytes, listens: bytes | None, heard: str, logged: str
) -> None:
    listener = await listen(Credentials(listens))
    with pytest.raises(LinkRefusedError, match=f"{heard}.*secret_file must name a file with the same secret on both"):
        await sockets.connect(listener.address, Credentials(dials))
    warning = await listener.warned()
    assert warning.startswith(logged)
    assert warning.endswith("secret_file must name a file with the same secret on both sides")
    assert SECRET.decode() not in warning
    assert listener.accepted.empty()


async def test_a_refusal_is_past_when_somebody_is_trusted() -> None:
    kept = Complaints(lambda: 0.0)
    bound = sockets.bind(Address("tcp", "127.0.0.1"))
    address = Address("tcp", "127.0.0.1", bound.getsockname()[1])
    async with await sockets.serve(bound, lambda _: None, Credentials(SECRET), kept):
        with pytest.raises(LinkRefusedError):
            await sockets.connect(address, Credentials(OTHER))
        assert kept.reason.startswith("the secret does not match")
        trusted = await sockets.connect(address, Credentials(SECRET))
        assert kept.reason == ""
        trusted.abort()


async def test_one_without_a_secret_learns_that_one_is_demanded_when_the_link_ends(listen: Any) -> None:
    listener = await listen(Credentials(SECRET))
    here = End(await sockets.connect(listener.address)).start()
    here.connection.send(b"let me in", [bytes(1 << 20)])
    assert await here.ended() == (
        "the other side demands a secret, and this process has none: "
        "secret_file must name a file with the same secret on both sides"
    )
    assert (await listener.warned()).startswith("the other side has no secret, and this process demands one")
    assert here.frames == []
    assert await listener.works_with(Credentials(SECRET))


async def test_over_tls_a_secret_that_one_side_lacks_is_missed_too(listen: Any, authority: Authority) -> None:
    tls = tls_of(authority.sign("both"))
    listener = await listen(Credentials(SECRET, tls))
    with pytest.raises(LinkRefusedError, match="the other side demands a secret, and this process has none"):
        await sockets.connect(listener.address, Credentials(None, tls))
    assert (await listener.warned()).startswith("the other side has no secret")
    assert await listener.works_with(Credentials(SECRET, tls))


async def test_strangers_to_the_authority_are_refused_by_the_dialler(
    listen: Any, authority: Authority, tmp_path: Path
) -> None:
    listener = await listen(Credentials(None, tls_of(make_authority(tmp_path, "strangers").sign("stranger"))))
    with pytest.raises(LinkRefusedError, match=r"TLS: certificate verify failed, .*; peer_certificate must be signed"):
        await sockets.connect(listener.address, Credentials(None, tls_of(authority.sign("one"))))
    assert "peer_authority" in await listener.warned()


async def test_strangers_to_the_authority_are_refused_by_the_listener(
    listen: Any, authority: Authority, tmp_path: Path
) -> None:
    ours = tls_of(authority.sign("one"))
    listener = await listen(Credentials(None, ours))
    stranger = tls_of(make_authority(tmp_path, "strangers").sign("stranger"))
    stranger.dials.load_verify_locations(cafile=authority.chain)  # it believes us, but we do not believe it
    with pytest.raises(LinkRefusedError, match=r"ended the link before it had greeted .*; its log says why"):
        await sockets.connect(listener.address, Credentials(None, stranger))
    assert "TLS: certificate verify failed" in await listener.warned()
    assert await listener.works_with(Credentials(None, ours))


async def test_one_without_a_certificate_is_refused(listen: Any, authority: Authority) -> None:
    ours = tls_of(authority.sign("one"))
    listener = await listen(Credentials(SECRET, ours))
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.load_verify_locations(authority.chain)
    anonymous.check_hostname = False
    with pytest.raises(LinkRefusedError):
        await sockets.connect(listener.address, Credentials(SECRET, type(ours)(ours.listens, anonymous)))
    assert "did not return a certificate" in await listener.warned()
    assert listener.accepted.empty()


async def test_tls_on_one_side_alone_is_named(listen: Any, authority: Authority) -> None:
    tls = tls_of(authority.sign("one"))
    secure, plain = await listen(Credentials(SECRET, tls)), await listen(Credentials(SECRET))
    with pytest.raises(LinkRefusedError, match=r"peer_certificate|its log says why"):
        await sockets.connect(secure.address, Credentials(SECRET))
    assert "peer_certificate" in await secure.warned()
    with pytest.raises(LinkRefusedError, match="peer_certificate"):
        await sockets.connect(plain.address, Credentials(SECRET, tls))
    assert "it speaks TLS, this side does not" in await plain.warned()


async def test_the_version_of_tls_is_the_newest(listen: Any, authority: Authority) -> None:
    tls = tls_of(authority.sign("one"))
    listener = await listen(Credentials(None, tls))
    tls.dials.minimum_version = tls.dials.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(LinkRefusedError, match="TLS: "):
        await sockets.connect(listener.address, Credentials(None, tls))
    assert "TLS: unsupported protocol" in await listener.warned()


@pytest.mark.parametrize("over_tls", [False, True])
async def test_probes_of_the_port_are_no_news(listen: Any, authority: Authority, over_tls: bool) -> None:
    credentials = Credentials(SECRET, tls_of(authority.sign("one")) if over_tls else None)
    listener = await listen(credentials)
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.address.port)
        writer.close()
        await writer.wait_closed()
    assert await listener.works_with(credentials)
    assert listener.log.lines.empty()


async def test_who_says_nothing_is_not_waited_for(
    listen: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "PAIRING_TIMEOUT", 0.05)
    tls = tls_of(authority.sign("one"))
    for credentials in (Credentials(SECRET), Credentials(SECRET, tls)):
        listener = await listen(credentials)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.address.port)
        assert await ended(reader)
        writer.close()
    silent = sockets.bind(Address("tcp", "127.0.0.1"))
    for credentials, words in (
        (Credentials(SECRET), "within 0.05 s"),
        (Credentials(SECRET, tls), "TLS: the other side has broken it off"),
    ):
        with pytest.raises(LinkRefusedError, match=words):
            await sockets.connect(Address("tcp", "127.0.0.1", silent.getsockname()[1]), credentials)
    silent.close()


async def test_a_dial_that_is_given_up_leaves_nothing_open() -> None:
    silent = sockets.bind(Address("tcp", "127.0.0.1"))
    task = asyncio.create_task(
        sockets.connect(Address("tcp", "127.0.0.1", silent.getsockname()[1]), Credentials(SECRET))
    )
    loop = asyncio.get_running_loop()
    arrived, _ = await loop.sock_accept(silent)
    arrived.setblocking(False)
    await loop.sock_recv(arrived, 1000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with suppress(ConnectionResetError):
        assert await loop.sock_recv(arrived, 1000) == b""
    arrived.close()
    silent.close()


async def test_unix_sockets_know_no_credentials(tmp_path: Path) -> None:
    address = Address("unix", str(tmp_path / "s"))
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    server = await sockets.serve(sockets.bind(address), accepted.put_nowait, Credentials(SECRET))
    here = End(await sockets.connect(address)).start()
    there = End(await accepted.get()).start()
    here.connection.send(b"hello")
    await there.received(1)
    here.connection.abort()
    await there.ended()
    server.close()
    await server.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def test_a_peer_that_is_gone_has_no_name() -> None:
    with socket.socket() as unconnected:
        assert reception._peer(unconnected) == ""
