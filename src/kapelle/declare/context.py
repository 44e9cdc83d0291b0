"""The request that the running code serves: travels with every call, from the gateway into each service."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec


class RequestContext(msgspec.Struct, frozen=True, gc=False):
    """What a request carries wherever it goes.

    ``deadline`` is in seconds of this process's monotonic clock. ``trace`` is the client's ``traceparent`` or "".
    ``release`` is the one release that the request sees, in the gateway and in every service.
    """

    id: str
    trace: str
    deadline: float
    release: str = ""


_current: ContextVar[RequestContext | None] = ContextVar("kapelle_request", default=None)

current_request = _current.get
enter_request = _current.set
