"""Where an engine starts the processes: a gateway finds the replicas by itself, by DNS, and needs nobody to be told."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from kapelle.clock import monotonic
from kapelle.gateway.fleet import Fleet
from kapelle.transport.discovery import Found
from kapelle.transport.sockets import Address
from kapelle.wire.messages import Member, Members

log = structlog.get_logger()

_PATIENCE = 30.0
"""Seconds for an address to be a replica that can be reached; later people are told."""


class Finder:
    """Tells ``on_members`` of the replicas at the addresses that DNS has, each of which takes calls at ``port``.

    One that DNS has no more is called for as long as it can be reached: it says itself when it is to be called no more.
    """

    def __init__(self, fleet: Fleet, port: int, on_members: Callable[[Members], None]) -> None:
        self._fleet = fleet
        self._port = port
        self._on_members = on_members
        self._version = 0
        self._known: dict[str, frozenset[str]] = {}
        self._silent: dict[str, float] = {}
        """When each that cannot be reached was first found; 0 when people have been told."""

    def found(self, there: Found) -> None:
        """DNS was asked again."""
        known = {service: self._present(service, addresses) for service, addresses in there.items()}
        self._look_at_silent(known)
        if known != self._known or not self._version:
            self._known = known
            self._version += 1
            members = [self._member(service, one) for service, there in known.items() for one in sorted(there)]
            self._on_members(Members(self._version, members))

    def _present(self, service: str, addresses: frozenset[str]) -> frozenset[str]:
        pool = self._fleet.pools[service]
        gone = self._known.get(service, frozenset()) - addresses
        return addresses | {one for one in gone if pool.reaches(_name(service, one))}

    def _member(self, service: str, address: str) -> Member:
        data = Address("tcp", address, self._port)
        return Member(_name(service, address), "replica", service, [], str(data), "", True)

    def _look_at_silent(self, known: Found) -> None:
        now = monotonic()
        silent: dict[str, float] = {}
        for service, addresses in known.items():
            pool = self._fleet.pools[service]
            for address in addresses:
                name = _name(service, address)
                if pool.reaches(name):
                    continue
                silent[name] = since = self._silent.get(name, now)
                if since and now - since >= _PATIENCE:
                    silent[name] = 0.0
                    log.warning(
                        "DNS has an address at which no replica takes calls; the others are called",
                        replica=name, reason=pool.trouble(name) or "it is not ready",
                    )  # fmt: skip
        self._silent = silent


def _name(service: str, address: str) -> str:
    return f"{service}@{address}"
