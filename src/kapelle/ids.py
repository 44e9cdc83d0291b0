"""Names for requests and processes: unique without coordination, cheap enough to make one per request."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def random_id(length: int = 12) -> str:
    """``length`` random hexadecimal digits."""
    return os.urandom((length + 1) // 2).hex()[:length]


def request_ids() -> Callable[[], str]:
    """A source of request ids: a random prefix for the process, then a count (a random id costs a system call each)."""
    prefix = random_id(12)
    count = itertools.count(1)
    return lambda: f"{prefix}-{next(count):x}"


def is_safe_request_id(value: str) -> bool:
    """Whether a client's ``x-request-id`` may be taken over: short, and harmless in headers and logs."""
    return _SAFE_REQUEST_ID.fullmatch(value) is not None


def is_traceparent(value: str) -> bool:
    """Whether ``value`` is a valid W3C Trace Context ``traceparent``."""
    return _TRACEPARENT.fullmatch(value) is not None
