from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from kapelle.client.asking import Ask, Options
from kapelle.client.terms import Terms
from kapelle.errors import CallError, ConfigError, InvalidInput
from tests.certificates import make_certificate


def terms(address: str = "http://gateway:8080", **given: Any) -> Terms:
    return Terms(address, **{"grpc": None, "timeout": "30s", "retries": 3, "headers": None, "trust": None, **given})


def ask(*, rpc: bool = False, **options: Any) -> Ask[None]:
    return Ask("GET", "/x", lambda _: None, headers={"content-type": "a/b"}, options=Options(**options), rpc=rpc)


@pytest.mark.parametrize(
    ("address", "grpc", "base", "place", "tls"),
    [
        ("http://a:8080", None, "http://a:8080", "a:8081", False),
        ("http://a:8080/", None, "http://a:8080", "a:8081", False),
        ("https://a/base/", None, "https://a/base", "a:444", True),
        ("http://[::1]:80", None, "http://[::1]:80", "[::1]:81", False),
        ("http://[::1]", None, "http://[::1]", "[::1]:81", False),
        ("http://me:secret@a:8080", None, "http://me:secret@a:8080", "a:8081", False),
        ("http://a:", None, "http://a:", "a:81", False),
        ("http://a:8080", "b:9", "http://a:8080", "b:9", False),
        ("http://a:8080", "grpc://b:9", "http://a:8080", "b:9", False),
        ("grpc://a:9", None, "", "a:9", False),
        ("grpcs://a:9", None, "", "a:9", True),
    ],
)
def test_addresses(address: str, grpc: str | None, base: str, place: str, tls: bool) -> None:
    found = terms(address, grpc=grpc)
    assert (found.base, found.grpc, found.tls) == (base, place, tls)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "gateway:8080",
        "ftp://a",
        "http://",
        "http:///",
        "http://:80",
        "http://a:99999",
        "http://a:b",
        "http://a..b:80",
        f"http://{'a' * 64}:80",
        "http://[::1",
        "http://[a]:80",
        "http://a:80?b=1",
        "http://a:80#b",
        "grpc://a..b:80",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="a gateway cannot be at"):
        terms(address)


@pytest.mark.parametrize("given", [{"retries": -1}, {"timeout": "soon"}, {"grpc": "http://a:1"}])
def test_what_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        terms(**given)


def test_a_calls_own_time_out_counts_first() -> None:
    assert 29 < terms().course(ask()).left <= 30
    assert 1 < terms().course(ask(timeout="2s")).left <= 2
    assert terms(timeout=None).course(ask()).begin() is None


def test_headers_of_the_client_of_the_request_and_of_the_call() -> None:
    found = terms(headers={"X-A": "1", "X-B": "1"}).course(ask(headers={"x-b": "2", "Content-Type": "c/d"})).headers
    assert found["user-agent"].startswith("kapelle/")
    assert (found["x-a"], found["x-b"], found["content-type"]) == ("1", "2", "c/d")


def test_every_call_has_an_id_of_its_own() -> None:
    made = terms()
    ids = {made.course(ask()).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert made.course(ask(headers={"X-Request-Id": "mine"})).headers["x-request-id"] == "mine"
    with pytest.raises(InvalidInput, match="got 'not mine'"):
        made.course(ask(headers={"X-Request-Id": "not mine"}))


def test_a_client_of_grpc_has_no_http() -> None:
    with pytest.raises(ConfigError, match="speaks gRPC only; /x is served over HTTP"):
        terms("grpc://a:9").course(ask())
    assert terms("grpc://a:9").course(ask(rpc=True)).headers


def test_a_client_belongs_to_the_process_of_its_first_call() -> None:
    used, unused = terms(), terms()
    used.check_open()
    child = os.fork()
    if not child:
        unused.check_open()
        try:
            used.check_open()
        except CallError as error:
            os._exit(0 if "forked" in str(error) else 1)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    used.check_open()


def test_certificates(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    assert terms("https://gateway").certificates() is True
    assert terms(trust=made.chain).certificates() is False
    context = terms("https://gateway", trust=made.chain).certificates()
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "other.pem").write_bytes("größe".encode())
    for name in ("empty.pem", "other.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=f"{name} has no certificates to trust"):
            terms(trust=tmp_path / name)
