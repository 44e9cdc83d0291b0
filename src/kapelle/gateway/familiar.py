"""Heads of requests that were read before: clients send the same ones again and again, and what they say is known then.

A parser that stands between two requests reads the same bytes to the same end. So once a head was followed by a body of so
many bytes and by nothing else, what becomes of the same head, byte for byte, before as many bytes needs no parser.
"""

from __future__ import annotations

from typing import NamedTuple

from kapelle.gateway.request import Headers, Request

LONGEST = 2048
"""Bytes of a head from which on it is not kept."""
_MOST = 512
_END = b"\r\n\r\n"

# What changes the way of the parser, or of what it reads; and what belongs to one request or one person alone.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"connection"})
_OWN = frozenset({b"x-request-id", b"traceparent", b"authorization", b"proxy-authorization", b"cookie"})


class Head(NamedTuple):
    """What a head says; a body of ``length`` bytes follows."""

    method: str
    target: bytes
    headers: Headers
    length: int


class FamiliarHeads:
    """The heads that a gateway has met, as many as there is room for."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, start: bytes, size: int) -> tuple[Head, int] | None:
        """The familiar head of a request of ``size`` bytes that starts like this, and where it ends."""
        end = start.find(_END) + len(_END)
        head = self._known.get(start[:end])
        return None if head is None or size - end != head.length else (head, end)

    def meet(self, start: bytes, size: int, request: Request, length: int) -> bool:
        """``request``, with ``length`` bytes of body, came of ``size`` bytes that start like this.

        Returns whether it was all of them, and the parser stands between two requests again.
        """
        end = start.find(_END) + len(_END)
        names = {name for name, _ in request.headers}
        if size - end != length or not request.keep_alive or request.version != "1.1" or names & _UNUSUAL:
            return False
        if not names & _OWN:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[start[:end]] = Head(request.method, request.target, request.headers, length)
        return True
