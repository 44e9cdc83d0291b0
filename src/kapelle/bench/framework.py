"""HTTP between services as most people have it: an ASGI application on uvicorn, asked with httpx.

Neither comes with Kapelle; where both are installed, they are measured beside the bare protocol.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kapelle.bench.payload import payload, received
from kapelle.bench.server import FINISH

if TYPE_CHECKING:
    import httpx

_PATIENCE = 60.0
"""Seconds for a request; httpx gives up after five of its own accord."""


def installed() -> bool:
    """Whether both are there."""
    return find_spec("httpx") is not None and find_spec("uvicorn") is not None


def client(host: str, port: int) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """A client of one stage, which keeps its connections."""
    import httpx  # noqa: PLC0415 - it is not one of Kapelle's own libraries

    return httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=_PATIENCE, trust_env=False)


async def ask(client: httpx.AsyncClient, path: str, body: bytes) -> bytes:
    """Send a body and return the answer's.

    Raises:
        OSError: the stage is gone.
    """
    import httpx  # noqa: PLC0415 - as above

    try:
        return (await client.post(path, content=body)).content
    except httpx.TransportError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error


def serve(bound: socket.socket) -> tuple[Coroutine[Any, Any, None], Callable[[], None]]:
    """What serves the stage at this socket, and what ends that."""
    import uvicorn  # noqa: PLC0415 - it is not one of Kapelle's own libraries

    server = uvicorn.Server(uvicorn.Config(stage, log_level="warning", access_log=False, lifespan="off"))

    def end() -> None:
        server.should_exit = True

    return server.serve(sockets=[bound]), end


async def stage(scope: Any, receive: Any, send: Any) -> None:
    """The stage, an application without a framework's routes and models: those would be the user's choice."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    total = received(body)
    answer = str(total).encode() if scope["path"] == FINISH else payload(len(body)).tobytes()
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
