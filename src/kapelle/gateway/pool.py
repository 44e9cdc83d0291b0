"""The replicas of one service, and the way of a call to one of them: picked, retried, hedged, within budgets."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from kapelle.clock import monotonic
from kapelle.core.balance import Balancer, Standing
from kapelle.core.budget import Budget
from kapelle.core.ticket import Setback, Ticket, Verdict
from kapelle.declare.context import current_request
from kapelle.declare.methods import CallPolicy
from kapelle.declare.services import ServiceSpec
from kapelle.errors import DeadlineExceeded, Overloaded, ReplicaLost, Unavailable
from kapelle.gateway.link import Attempt, Link, SetbackError
from kapelle.observe.metrics import LATENCY_BUCKETS, Registry
from kapelle.transport.connection import Connection
from kapelle.wire.payload import Payload, Unpacker

DEFAULT_TIMEOUT = 30.0
"""Seconds a call outside any request may take."""


class Pool:
    """The replicas of one service. ``shards`` is how many shards there are (1 for a service without)."""

    def __init__(
        self, spec: ServiceSpec, shards: int, caller: str, registry: Registry, on_change: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.shards = shards
        self._caller = caller
        self._on_change = on_change
        self._links: dict[str, Link] = {}
        seed = zlib.crc32(f"{caller}/{spec.name}".encode())
        self._balancers = [Balancer(seed + shard) for shard in range(shards)]
        self._retries = Budget(ratio=0.2, reserve=1000)
        self._hedges = Budget(ratio=0.05, reserve=20)
        self._loop = asyncio.get_running_loop()
        self._retried = registry.counter(
            "kapelle_retries_total", "Calls sent again after a replica refused or died.", service=spec.name
        )
        self._hedged = registry.counter("kapelle_hedges_total", "Second copies of slow calls.", service=spec.name)
        registry.gauge("kapelle_pool_usable", "Replicas that may be called.", lambda: self.usable, service=spec.name)
        registry.gauge(
            "kapelle_pool_outstanding",
            "Rows sent to replicas and not yet answered.",
            lambda: sum(link.candidate.outstanding for link in self._links.values()),
            service=spec.name,
        )
        self.seconds = {
            name: registry.histogram(
                "kapelle_call_seconds", "Calls from the gateway, answers included.", LATENCY_BUCKETS,
                service=spec.name, method=name,
            )
            for name in spec.methods
        }  # fmt: skip

    @property
    def usable(self) -> int:
        """Replicas that may be called, for the shard that has the fewest."""
        return min(balancer.usable for balancer in self._balancers)

    @property
    def ready(self) -> bool:
        return self.usable > 0

    def serves(self, shard: int) -> bool:
        """Whether a replica may be called for this shard."""
        return self._balancers[shard].usable > 0

    def reaches(self, name: str) -> bool:
        """Whether this replica may be called."""
        link = self._links.get(name)
        return link is not None and link.candidate.standing is not Standing.UNREADY

    def add(self, name: str, connect: Callable[[], Awaitable[Connection]]) -> None:
        """A replica appeared, or is said to be back."""
        link = self._links.get(name)
        if link is None:
            self._links[name] = Link(name, self._caller, connect, self._changed)
        else:
            link.hurry(connect)

    async def remove(self, name: str) -> None:
        """A replica is gone for good."""
        link = self._links.pop(name, None)
        if link is not None:
            for balancer in self._balancers:
                balancer.remove(name)
            await link.close()

    @property
    def names(self) -> list[str]:
        return list(self._links)

    def check(self, now: float) -> None:
        """Notice silent replicas; called about every second."""
        for link in list(self._links.values()):
            link.check(now)

    async def close(self) -> None:
        for name in self.names:
            await self.remove(name)

    async def call(
        self, method: str, shard: int, rows: int, policy: CallPolicy, payload: Payload, unpack: Unpacker
    ) -> Any:
        """The result of one call.

        Raises:
            CallError: of the kind that ended it.
        """
        began = monotonic()
        context = current_request()
        deadline = began + DEFAULT_TIMEOUT if context is None else context.deadline
        if policy.timeout is not None:
            deadline = min(deadline, began + policy.timeout)
        request, trace = ("", "") if context is None else (context.id, context.trace)
        ticket = Ticket(deadline=deadline, rows=rows, idempotent=policy.idempotent)
        self._retries.earn()
        now = began
        while True:
            link = self._pick(shard, ticket)
            attempt = Attempt(self._loop.create_future(), rows, unpack)
            number = link.submit(method, shard, rows, deadline - now, request, trace, payload, attempt)
            try:
                if policy.hedge is None and policy.timeout is None:
                    # The request's own deadline cancels this coroutine; nothing else to watch.
                    value = await attempt.future
                else:
                    value = await self._watched(
                        ticket, policy, link, number, attempt, shard,
                        lambda other, copy: other.submit(
                            method, shard, rows, deadline - monotonic(), request, trace, payload, copy
                        ),
                    )  # fmt: skip
            except SetbackError as setback:
                now = monotonic()
                self._settle(ticket, setback, now)
            except BaseException:
                ticket.close()
                link.cancel(number)
                raise
            else:
                ticket.close()
                self.seconds[method].observe(monotonic() - began)
                return value

    def open_stream(
        self, method: str, shard: int, payload: Payload, unpack: Unpacker, on_item: Callable[[Any], None]
    ) -> tuple[Link, int, asyncio.Future[Any]]:
        """Begin a stream: its link and number (to grant credit or cancel), and the future of its end."""
        context = current_request()
        timeout = DEFAULT_TIMEOUT if context is None else context.deadline - monotonic()
        request, trace = ("", "") if context is None else (context.id, context.trace)
        ticket = Ticket(deadline=monotonic() + timeout, idempotent=False)
        link = self._pick(shard, ticket)
        attempt = Attempt(self._loop.create_future(), 1, unpack, on_item)
        number = link.submit(method, shard, 1, timeout, request, trace, payload, attempt)
        return link, number, attempt.future

    async def end_of_stream(self, end: asyncio.Future[Any]) -> None:
        """Raise what ended a stream, if it was not its last item."""
        try:
            await end
        except SetbackError as setback:
            if setback.kind is Setback.REFUSED:
                raise Overloaded(f"{self.spec.name} refused the stream: {setback.reason}") from None
            raise ReplicaLost(f"{self.spec.name} lost the stream ({setback.reason})") from None

    def _pick(self, shard: int, ticket: Ticket) -> Link:
        candidate = self._balancers[shard].pick(ticket.tried)
        if candidate is None:
            place = f"shard {shard} of {self.spec.name}" if self.spec.sharded else self.spec.name
            raise Unavailable(f"no replica of {place} is ready")
        ticket.attempt(candidate.name)
        return self._links[candidate.name]

    def _settle(self, ticket: Ticket, setback: SetbackError, now: float) -> None:
        """Return to try again, or raise what the caller shall see."""
        if ticket.setback(setback.kind, now, self._retries) is Verdict.RETRY:
            replicas = len(self._balancers[0].candidates)
            if setback.kind is Setback.REFUSED and ticket.refusals >= max(2, replicas):
                ticket.close()
                raise Overloaded(f"every replica of {self.spec.name} refused the call: {setback.reason}")
            self._retried.inc()
            return
        ticket.close()
        if now >= ticket.deadline:
            raise DeadlineExceeded
        if setback.kind is Setback.REFUSED:
            raise Overloaded(f"{self.spec.name} refused the call: {setback.reason}")
        tried = ", ".join(ticket.tried)
        raise ReplicaLost(f"{self.spec.name} lost the call ({setback.reason}); tried {tried}")

    async def _watched(
        self,
        ticket: Ticket,
        policy: CallPolicy,
        link: Link,
        number: int,
        attempt: Attempt,
        shard: int,
        resubmit: Callable[[Link, Attempt], int],
    ) -> Any:
        """Await an attempt under its own timeout, with a second copy sent when it is slow."""
        remaining = ticket.deadline - monotonic()
        hedge_after = remaining if policy.hedge is None else min(policy.hedge, remaining)
        done, _ = await asyncio.wait({attempt.future}, timeout=hedge_after)
        if done:
            return attempt.future.result()
        other = self._balancers[shard].pick(ticket.tried) if policy.hedge is not None else None
        self._hedges.earn()
        futures = {attempt.future}
        second: tuple[Link, int] | None = None
        if other is not None and other.name not in ticket.tried and self._hedges.spend():
            self._hedged.inc()
            copy = Attempt(self._loop.create_future(), attempt.rows, attempt.unpack)
            other_link = self._links[other.name]
            ticket.attempt(other.name)
            second = other_link, resubmit(other_link, copy)
            futures.add(copy.future)
        try:
            done, waiting = await asyncio.wait(
                futures, timeout=ticket.deadline - monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
            if waiting and done and all(one.exception() is not None for one in done):
                done, _ = await asyncio.wait(waiting, timeout=ticket.deadline - monotonic())
            if not done:
                raise DeadlineExceeded
            best = next((one for one in done if one.exception() is None), next(iter(done)))
            return best.result()
        finally:
            link.cancel(number)
            if second is not None:
                second[0].cancel(second[1])

    def _changed(self) -> None:
        for shard, balancer in enumerate(self._balancers):
            known = {candidate.name for candidate in balancer.candidates}
            for name, link in self._links.items():
                if name not in known and shard in link.shards:
                    balancer.add(link.candidate)
            balancer.refresh()
        self._on_change()
