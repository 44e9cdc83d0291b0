"""A request as the front hands it on: complete, within limits, and the place its answer goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    import asyncio

    from kapelle.gateway.http import HttpConnection

Headers = list[tuple[bytes, bytes]]


class Request:
    """One HTTP request. ``headers`` have lower-case names; ``body`` is whole."""

    __slots__ = (
        "began", "body", "connection", "expired", "finished", "headers", "id", "keep_alive", "method", "path",
        "query", "size", "target", "task", "trace", "version",
    )  # fmt: skip

    def __init__(self, method: str, target: bytes, headers: Headers, connection: HttpConnection) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.connection = connection
        self.path, self.query = split_target(target)
        self.body = b""
        self.size = 0
        self.id = ""
        self.trace = ""
        self.version = "1.1"
        self.keep_alive = True
        self.began = 0.0
        self.task: asyncio.Task[Any] | None = None
        self.expired = False
        self.finished = False

    def header(self, name: bytes) -> bytes:
        """The value of a header, or empty."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""

    def query_items(self) -> list[tuple[str, str]]:
        """The query string, decoded."""
        return parse_qsl(self.query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)


def split_target(target: bytes) -> tuple[str, bytes]:
    """The path, percent-decoded, and the raw query of a request target in origin or absolute form."""
    if not target.startswith(b"/") and b"://" in target:
        # Absolute form: a proxy's way of asking; the authority is the Host header's business.
        _, _, rest = target.partition(b"://")
        slash = rest.find(b"/")
        target = rest[slash:] if slash >= 0 else b"/"
    path, _, query = target.partition(b"?")
    text = path.decode("latin-1")
    return (unquote(text) if "%" in text else text), query
