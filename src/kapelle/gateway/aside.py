"""A release beside the current one at a gateway: it answers a share of the requests, or is asked what the other answers."""

from __future__ import annotations

import asyncio

import structlog

from kapelle.clock import monotonic
from kapelle.core.rollout_messages import Side
from kapelle.core.side import falls_aside
from kapelle.declare.context import enter_request
from kapelle.declare.quality import ScoredRequest
from kapelle.gateway.edition import Edition
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.problems import problem
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.observe.metrics import Registry
from kapelle.tasks import Tasks, is_stopped

log = structlog.get_logger()

_MOST = 64
"""Mirrored requests at once; more are not mirrored, so that a slow release takes no memory from the other."""
_OUTCOMES = ("alike", "different", "failed")


class Aside:
    """``key`` is the header whose value decides, so that the same client sees the same release; b"" for none."""

    def __init__(self, edition: Edition, side: Side, key: bytes, registry: Registry) -> None:
        self.edition = edition
        self.side = side
        self._key = key
        self._number = 0
        self._running = Tasks()
        self._outcomes = {
            one: registry.counter("kapelle_mirrored_total", "Answers of a release that was asked beside.", outcome=one)
            for one in _OUTCOMES
        }

    def choose(self, request: Request, usual: Edition) -> Edition:
        """The edition that answers this request."""
        return usual if self.side.mirrored or not self._falls(request) else self.edition

    def mirror(self, request: Request, endpoint: Endpoint, in_path: InPath, answer: bytes) -> None:
        """Ask this release what the other has just answered, and compare."""
        if self.side.mirrored and not request.borrows and len(self._running) < _MOST and self._falls(request):
            self._running.spawn(self._compare(request, endpoint, in_path, answer))

    async def _compare(self, request: Request, endpoint: Endpoint, in_path: InPath, answer: bytes) -> None:
        edition, began = self.edition, monotonic()
        enter_request(
            ScoredRequest(
                request.id, request.trace, began + endpoint.timeout, edition.release, add_quality=edition.add_quality
            )
        )
        edition.running += 1
        status, outcome = 200, "failed"
        try:
            async with asyncio.timeout(endpoint.timeout):
                begun = endpoint.begin(edition.functions[endpoint.function], request, in_path)
                body = endpoint.encode(request, await begun)[1]
            outcome = "alike" if body == answer else "different"
        except BaseException as error:  # users' code may raise anything; nobody waits for this answer
            if is_stopped():
                raise
            status = problem(error, request.id)[0]
            log.info("a mirrored request failed", release=edition.release, request=request.id, status=status)
        finally:
            edition.leave()
        edition.vitals.observe(status, monotonic() - began)
        self._outcomes[outcome].inc()

    def _falls(self, request: Request) -> bool:
        self._number += 1
        return falls_aside(self.side.share, self._number, request.header(self._key) if self._key else b"")
