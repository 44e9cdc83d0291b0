"""A probe says yes, or why not, in time, and costs an engine next to nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from kapelle import healthcheck
from kapelle.config.settings import Settings
from kapelle.transport.health_port import serve_health
from kapelle.transport.sockets import Address, bind


async def probe(port: int, *arguments: str) -> int:
    return await asyncio.to_thread(healthcheck.main, list(arguments), {"KAPELLE_HEALTH_PORT": str(port)})


@pytest.mark.parametrize(
    ("arguments", "livez", "readyz", "status", "said"),
    [
        ((), "", "", 0, ""),
        (("readyz",), "", "", 0, ""),
        (("livez",), "", "still starting", 0, ""),
        ((), "", "still starting", 1, "/readyz: still starting\n"),
        (("livez",), "user code blocks", "", 1, "/livez: user code blocks\n"),
    ],
)
async def test_it_says_what_the_process_says(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], livez: str, readyz: str, status: int, said: str
) -> None:
    bound = bind(Address("tcp", "127.0.0.1"))
    server = await serve_health(bound, lambda: livez, lambda: readyz, list)
    assert await probe(bound.getsockname()[1], *arguments) == status
    assert capsys.readouterr().out == said
    server.close()
    await server.wait_closed()


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert healthcheck.main([], {"KAPELLE_HEALTH_PORT": str(port)}) == 1
    assert f"nobody says anything at 127.0.0.1:{port}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "/readyz: status 0\n"),
        (b"SSH-2.0-OpenSSH\r\n", "/readyz: status 0\n"),
        (b"HTTP/1.1 200", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "/readyz: status 204\n"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + b"x" * (1 << 20), f"/readyz: {'x' * 100}"),
    ],
)
async def test_strange_answers_are_no(capsys: pytest.CaptureFixture[str], answer: bytes, said: str) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    assert await probe(server.sockets[0].getsockname()[1]) == (1 if said else 0)
    assert capsys.readouterr().out.startswith(said)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_it_does_not_wait_for_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.05)
    over = asyncio.Event()

    async def dawdles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await over.wait()
        writer.close()

    server = await asyncio.start_server(dawdles, "127.0.0.1", 0)
    assert await probe(server.sockets[0].getsockname()[1]) == 1
    assert "timed out" in capsys.readouterr().out
    over.set()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("arguments", "port", "said"),
    [
        (["healthz"], "7102", "usage: python -m kapelle.healthcheck [readyz|livez]\n"),
        (["readyz", "livez"], "7102", "usage: python -m kapelle.healthcheck [readyz|livez]\n"),
        ([], "http", "KAPELLE_HEALTH_PORT=http: expected a port from 1 to 65535\n"),
        ([], "65536", "KAPELLE_HEALTH_PORT=65536: expected a port from 1 to 65535\n"),
        ([], "0", "KAPELLE_HEALTH_PORT=0: expected a port from 1 to 65535\n"),
    ],
)
def test_what_makes_no_sense_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], port: str, said: str
) -> None:
    assert healthcheck.main(arguments, {"KAPELLE_HEALTH_PORT": port}) == 1
    assert capsys.readouterr().out == said


def test_it_asks_at_the_port_of_the_settings() -> None:
    assert str(Settings().health_port) == healthcheck.DEFAULT_PORT


def test_it_imports_next_to_nothing() -> None:
    program = "import sys, kapelle.healthcheck; print(*sys.modules)"
    imported = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert {name for name in imported if name.startswith("kapelle.")} == {"kapelle.version", "kapelle.healthcheck"}
    assert not imported & {"asyncio", "http.client", "msgspec", "numpy", "ssl", "urllib.request"}
