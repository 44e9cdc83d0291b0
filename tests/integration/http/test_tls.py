"""HTTPS: what holds without TLS holds with it, and a handshake is bounded like all else that a client does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial

import pytest

from kapelle.errors import StartError
from kapelle.gateway import http
from kapelle.testing import running_processes
from tests.certificates import Certificate, make_certificate
from tests.integration.http.client import Client, get, post
from tests.integration.http.echo import Echo
from tests.integration.http.serving import PATIENCE, Served, serving, until

BIG = 50_000_000
"""More bytes than the kernel takes for a client that does not read."""

Safe = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def safe(certificate: Certificate) -> Safe:
    """Serves the echo app over TLS, with the settings it is given."""
    return partial(serving, Echo, certificate.client(), **certificate.settings)


def hello(version: ssl.TLSVersion) -> bytes:
    """The first words of a client that speaks this version alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The client's own library holds the old version in contempt, too.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    words = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), words).do_handshake()
    return words.read()


async def swept(served: Served, times: int) -> None:
    """Return when the gateway has looked ``times`` more for connections whose time is over."""
    looked: asyncio.Queue[float] = asyncio.Queue()
    served.gateway.every_second(looked.put_nowait)
    for _ in range(times):
        await asyncio.wait_for(looked.get(), PATIENCE)


async def hung_up(client: Client) -> bytes:
    """All that a client gets until the server ends the connection."""
    try:
        return await client.rest()
    except ConnectionResetError:
        return b""


async def test_requests_are_answered(safe: Safe) -> None:
    async with safe() as served:
        client = await served.connect()
        assert (await client.ask(get("/hello"))).body == b"hello"
        body = bytes(range(256)) * 300
        await client.send(post("/echo", body)[:5000], post("/echo", body)[5000:] + get("/number/7"))
        assert [(await client.answer()).body for _ in range(2)] == [body, b"7"]
        async with served.http() as ordinary:
            answer = await ordinary.get("/hello")
            assert (answer.text, answer.url.scheme) == ("hello", "https")


async def test_http_in_the_clear_is_refused_and_nobody_else_notices(safe: Safe) -> None:
    async with safe() as served:
        client = await served.connect()
        confused = await served.connect_plain()
        await confused.send(get("/hello"))
        assert b"hello" not in await hung_up(confused)
        assert (await client.ask(get("/hello"))).body == b"hello"
        assert (await (await served.connect()).ask(get("/hello"))).body == b"hello"


@pytest.mark.parametrize("share", [0, 2], ids=["silent", "half a hello"])
async def test_a_handshake_that_stops_on_its_way_is_ended(safe: Safe, share: int) -> None:
    async with safe(header_timeout=0.1) as served:
        client = await served.connect_plain()
        words = hello(ssl.TLSVersion.TLSv1_3)
        await client.send(words[: len(words) // share] if share else b"")
        assert await hung_up(client) == b""


async def test_handshakes_that_never_end_stop_nobody(safe: Safe) -> None:
    async with safe(max_connections=2) as served:
        words = hello(ssl.TLSVersion.TLSv1_3)
        for _ in range(200):
            await (await served.connect_plain()).send(words[:50])
        assert (await (await served.connect()).ask(get("/hello"))).body == b"hello"


@pytest.mark.parametrize(("version", "welcome"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)])
async def test_old_clients_are_refused(safe: Safe, version: ssl.TLSVersion, welcome: bool) -> None:
    async with safe(header_timeout=0.1) as served:
        client = await served.connect_plain()
        await client.send(hello(version))
        server_hello = b"\x16\x03"
        assert (await hung_up(client)).startswith(server_hello) is welcome


async def test_a_slow_reader_gets_all_of_a_big_last_answer(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is the one for reading an answer, not the short one for closing after it."""
    monkeypatch.setattr(http, "_LINGER", 0.1)
    async with safe() as served:
        client = await served.connect()
        await client.send(get(f"/big/{BIG}", "Connection: close"))
        await until(lambda: served.count("kapelle_requests_total") == 1)
        await swept(served, 3)
        assert len((await client.answer()).body) == BIG
        assert await client.rest() == b""


@pytest.mark.parametrize("last", [(), ("Connection: close",)], ids=["kept alive", "closed"])
async def test_an_answer_nobody_reads_is_given_up(safe: Safe, last: tuple[str, ...]) -> None:
    async with safe(body_timeout=0.1, keep_alive=0.1) as served:
        client = await served.connect()
        await client.send(get(f"/big/{BIG}", *last))
        await until(lambda: served.count("kapelle_requests_total") == 1)
        await served.at_rest()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.answer()


async def test_a_client_that_does_not_say_goodbye_is_not_waited_for(
    safe: Safe, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_LINGER", 0.1)
    async with safe() as served:
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            shake_hands = partial(certificate.client().wrap_socket, raw, server_hostname="127.0.0.1")
            with await asyncio.to_thread(shake_hands):
                await until(lambda: served.count("kapelle_connections") == 1)
                assert await served.gateway.drain(PATIENCE)
                assert served.count("kapelle_connections") == 0


async def test_draining_answers_what_runs_and_ends_every_connection_in_order(safe: Safe) -> None:
    async with safe() as served:
        app: Echo = served.assembly.app
        resting, busy = await served.connect(), await served.connect()
        half_open = await served.connect_plain()
        await half_open.send(hello(ssl.TLSVersion.TLSv1_3)[:50])
        await resting.ask(get("/hello"))
        await busy.send(get("/hold"))
        await asyncio.wait_for(app.entered.wait(), PATIENCE)
        served.server.close()
        drain = asyncio.ensure_future(served.gateway.drain(PATIENCE))
        assert await resting.rest() == b""
        assert not drain.done()
        app.let_go.set()
        answer = await busy.answer()
        assert (answer.body, answer.closes) == (b"let go", True)
        assert await busy.rest() == b""
        assert await drain, "a handshake that is not over is no work that is lost"


async def test_a_system_whose_key_is_missing_says_so_and_does_not_start(certificate: Certificate) -> None:
    with pytest.raises(StartError, match=r"gateway-0: tls_key = '.*/no-key\.pem': No such file .*; give the path"):
        async with running_processes(
            Echo, **{**certificate.settings, "tls_key": f"{certificate.key.parent}/no-key.pem"}
        ):
            pass
