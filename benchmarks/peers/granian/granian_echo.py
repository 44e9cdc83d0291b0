"""The floor: a handler that sends the request's body back."""

from __future__ import annotations

from typing import Any


async def app(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, [("content-type", "application/json")], await protocol())
