"""Handing over: a process that others have taken over from is drained once every gateway reaches those others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kapelle.clock import monotonic
from kapelle.control.process import Process
from kapelle.core.life import Phase

PATIENCE = 5.0
"""Seconds after which a gateway that has not reached the successor holds nobody up any more."""


@dataclass(frozen=True, slots=True)
class _Farewell:
    """``leaving`` may go when gateways know the members as of ``version``, or when ``due`` has come."""

    leaving: Process
    version: int
    due: float


class Handover:
    """The processes that are to leave."""

    def __init__(self) -> None:
        self._successors: dict[Process, list[Process]] = {}
        self._farewells: list[_Farewell] = []

    def plan(self, leaving: Process, successors: list[Process]) -> None:
        """``leaving`` is to go when all of ``successors`` serve, or have been taken over from themselves."""
        leaving.life.give_way()
        self._successors[leaving] = successors

    def look(self, version: int, gateways: Iterable[Process]) -> None:
        """Called at every change and every second, with the version of the members that was announced last."""
        for leaving, successors in list(self._successors.items()):
            if all(one.life.usable or one.life.phase is Phase.ENDED for one in successors):
                del self._successors[leaving]
                self._farewells.append(_Farewell(leaving, version, monotonic() + PATIENCE))
        slowest = min((one.acquainted_as_of for one in gateways if one.life.usable), default=version)
        now = monotonic()
        for farewell in list(self._farewells):
            if slowest >= farewell.version or now >= farewell.due:
                self._farewells.remove(farewell)
                farewell.leaving.drain()
