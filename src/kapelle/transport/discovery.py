"""Who is there, as DNS has it: the addresses behind some names, looked up again and again.

An engine has the addresses of a service's containers under one name, and changes them as they come and go.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger()

_EVERY = 1.0
"""Seconds between two looks; engines tell nobody when something has changed."""
_NOBODY = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

Found = Mapping[str, frozenset[str]]
"""The addresses of each service."""


class Discovery:
    """Looks up ``hosts`` (by service) and tells ``on_found`` what there is, every time.

    A name that cannot be looked up just now has the addresses that it had; one that nobody has, has none.
    """

    def __init__(self, hosts: Mapping[str, str], on_found: Callable[[Found], None]) -> None:
        self._hosts = hosts
        self._on_found = on_found
        self._found = dict.fromkeys(hosts, frozenset[str]())
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.gather(*map(self._look, self._hosts))
            self._on_found(self._found)
            await asyncio.sleep(_EVERY)

    async def _look(self, service: str) -> None:
        host = self._hosts[service]
        try:
            self._found[service] = await _addresses(host)
        except (socket.gaierror, UnicodeError) as error:  # the latter of what cannot be a name
            if isinstance(error, socket.gaierror) and error.errno in _NOBODY:
                self._found[service] = frozenset()
                self._failing.discard(service)
            elif service not in self._failing:
                self._failing.add(service)
                log.warning("a name cannot be looked up; those who were there stay known", name=host, reason=str(error))
        else:
            self._failing.discard(service)


async def _addresses(host: str) -> frozenset[str]:
    answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # One of two kinds: a process with addresses of both would be there twice.
    family = min(kind for kind, *_ in answers)
    return frozenset(str(address[0]) for kind, *_, address in answers if kind == family)
