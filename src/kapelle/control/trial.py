"""A release on trial: how it does under traffic is compared with how the one before did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from kapelle.core.vitals import Vitals, breach

log = structlog.get_logger()

_EVERY = 1.0
"""Seconds between two looks."""


class Trial:
    """Asks the gateways again and again with ``ask``, and sums up what they say."""

    def __init__(self, old: str, new: str, ask: Callable[[], None]) -> None:
        self._old = old
        self._new = new
        self._ask = ask
        self._heard: dict[str, Mapping[str, Vitals]] = {}
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._look)

    def heard(self, gateway: str, releases: Mapping[str, msgspec.Raw]) -> str | None:
        """What a gateway has counted; why the new release must not stay, if that shows by now."""
        try:
            self._heard[gateway] = {
                release: msgspec.msgpack.decode(counts, type=Vitals) for release, counts in releases.items()
            }
        except msgspec.MsgspecError as error:
            log.warning("a gateway's counts cannot be read", process=gateway, reason=str(error))
            return None
        return breach(self._sum(self._old), self._sum(self._new), than=self._old)

    def close(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)
        self._ask()

    def _sum(self, release: str) -> Vitals:
        return sum((counts[release] for counts in self._heard.values() if release in counts), Vitals())
