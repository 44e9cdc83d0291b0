"""Warnings about links that were refused, few enough to be read: whoever knocks all the time does not fill the log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import structlog

from kapelle.transport.greeter import LinkRefusedError

_EVERY = 60.0
"""Seconds between two warnings about one address."""
_MOST_ADDRESSES = 256
"""Addresses that are remembered; more than these within ``_EVERY`` are not warned about."""

log = structlog.get_logger()


class Complaints:
    """Warns about each address at most once a minute. ``clock`` counts seconds.

    ``reason`` is that of the latest refusal, as long as nobody has been trusted since.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.reason = ""
        self._clock = clock
        self._latest: OrderedDict[str, float] = OrderedDict()

    def past(self) -> None:
        """Somebody is trusted now."""
        self.reason = ""

    def about(self, remote: str, reason: str, next_step: str) -> None:
        """Log why a link from ``remote`` was refused, unless that was said just now."""
        self.reason = f"{reason}; {next_step}"
        now = self._clock()
        while self._latest and next(iter(self._latest.values())) <= now - _EVERY:
            self._latest.popitem(last=False)
        if remote in self._latest or len(self._latest) >= _MOST_ADDRESSES:
            return
        self._latest[remote] = now
        log.warning("a link was refused", remote=remote, reason=reason, next_step=next_step)


def trouble_of(error: OSError, before: str, event: str, name: str) -> str:
    """Why a link cannot be had; ``before`` is what it was. That the other side refuses it is told as ``event``, once."""
    trouble = str(error) or type(error).__name__
    if isinstance(error, LinkRefusedError) and trouble != before:
        log.warning(event, name=name, reason=trouble)
    return trouble
