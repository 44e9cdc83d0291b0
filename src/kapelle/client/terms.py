"""What a client was made with, checked: where the gateway is, how long calls may take, how often they are repeated."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kapelle.client.asking import Ask
from kapelle.client.attempts import REQUEST_ID, Course, Rules
from kapelle.clock import seconds
from kapelle.core.budget import Budget
from kapelle.errors import CallError, ConfigError, InvalidInput
from kapelle.ids import is_safe_request_id, request_ids
from kapelle.version import VERSION

BUDGET_RATIO = 0.2
"""Repeats for each call, in the long run."""
BUDGET_RESERVE = 10.0
"""Repeats beyond that, for when a gateway was replaced and a few calls notice."""
AGENT = f"kapelle/{VERSION}"

_HTTP = ("http", "https")
_GRPC = ("grpc", "grpcs")


class Terms:
    """``base`` is empty where the client speaks gRPC only; ``grpc`` is the host and port of gRPC. ``closed`` ends it all.

    ``loop`` gives the event loop that runs, for a client that belongs to one.

    Raises:
        ConfigError: one of them cannot be.
    """

    def __init__(
        self,
        address: str,
        *,
        grpc: str | None,
        timeout: str | float | None,
        retries: int,
        headers: Mapping[str, str] | None,
        trust: str | Path | None,
        loop: Callable[[], object] = lambda: None,
    ) -> None:
        scheme, place = _split(address, (*_HTTP, *_GRPC))
        self.base = f"{scheme}://{place}" if scheme in _HTTP else ""
        self.tls = scheme in ("https", "grpcs")
        self.grpc = _grpc_place(address, grpc)
        self.trusted = None if trust is None else _certificates(Path(trust))
        if retries < 0:
            raise ConfigError(f"retries is {retries}; expected 0 or more")
        self.closed = False
        self._loop = loop
        self._home: tuple[int, object] | None = None
        self._retries = retries
        self._timeout = None if timeout is None else seconds(timeout)
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        # Several threads may share it: a token that is lost or won between them does not matter.
        self._budget = Budget(ratio=BUDGET_RATIO, reserve=BUDGET_RESERVE)
        self._ids = request_ids()

    def course(self, ask: Ask[Any]) -> Course:
        """A call that begins now.

        Raises:
            ConfigError: this client does not speak what the call needs, or ``timeout`` is no duration.
        """
        if not ask.rpc and not self.base:
            raise ConfigError(f"this client speaks gRPC only; {ask.target} is served over HTTP, at http://host:port")
        given = ask.options.timeout
        timeout = self._timeout if given is None else seconds(given)
        return Course(ask, Rules(self._retries, timeout), self._budget, self._headers(ask))

    def check_open(self) -> None:
        """An attempt begins, of a call that may have begun before the client was closed.

        Raises:
            CallError: it is closed, or its connections are those of another process, which was forked, or event loop.
        """
        if self.closed:
            raise CallError("this client is closed; make another one")
        here = (os.getpid(), self._loop())
        self._home = self._home or here
        if here[0] != self._home[0]:
            raise CallError(
                "this client has connections of the process that this one was forked from; make another one"
            )
        if here != self._home:
            raise CallError("this client has connections of another event loop; make one in each")

    def certificates(self) -> ssl.SSLContext | bool:
        """What httpx takes for ``verify``."""
        if not self.tls:
            return False  # reading the system's certificates takes longer than many calls
        return True if self.trusted is None else ssl.create_default_context(cadata=self.trusted.decode("ascii"))

    def _headers(self, ask: Ask[Any]) -> dict[str, str]:
        own = {name.lower(): value for name, value in ask.options.headers.items()}
        headers = {"user-agent": AGENT, **self.headers, **ask.headers, **own}
        given = headers.setdefault(REQUEST_ID, self._ids())
        if not is_safe_request_id(given):
            raise InvalidInput(f"expected up to 128 letters, digits and ._:/+=@-, got {given!r}", path=REQUEST_ID)
        return headers


def _certificates(file: Path) -> bytes:
    """Those in a PEM file, of which there has to be one at least."""
    try:
        found = file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found.decode("ascii"))
    except (OSError, ValueError) as error:  # what OpenSSL refuses is an OSError, too
        raise ConfigError(f"{file} has no certificates to trust: {error}") from None
    return found


def _split(address: str, schemes: tuple[str, ...]) -> tuple[str, str]:
    scheme, found, place = address.partition("://")
    if not found or scheme not in schemes or not _is_place(place):
        raise ConfigError(f"a gateway cannot be at {address!r}; expected {schemes[0]}://host:port")
    return scheme, place.rstrip("/")


def _is_place(text: str) -> bool:
    """Whether it is a host, perhaps with a port and a path, and nothing else."""
    try:
        parts = urlsplit(f"//{text}")
        return bool((parts.hostname or "").encode("idna")) and not parts.query and not parts.fragment
    except ValueError:  # brackets without an address in them; labels that are empty or too long
        return False


def _grpc_place(address: str, grpc: str | None) -> str:
    """Host and port of gRPC: as given, or the port after that of HTTP, where a gateway has it unless told otherwise."""
    if grpc is not None:
        return _split(grpc, _GRPC)[1] if "://" in grpc else grpc
    parts = urlsplit(address)
    if parts.scheme in _GRPC:
        return parts.netloc
    try:
        port = (443 if parts.scheme == "https" else 80) if parts.port is None else parts.port
    except ValueError:
        raise ConfigError(f"a gateway cannot be at {address!r}; the port is no number up to 65535") from None
    host = parts.hostname or ""
    return f"[{host}]:{port + 1}" if ":" in host else f"{host}:{port + 1}"
