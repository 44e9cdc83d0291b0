"""The replicas of one service, and the way of a call to one of them: picked, retried, hedged, within budgets."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import structlog

from kapelle.clock import monotonic
from kapelle.core.balance import Balancer, Standing
from kapelle.core.budget import Budget
from kapelle.core.ticket import Setback, Verdict
from kapelle.declare.context import current_request
from kapelle.declare.interface import interface_of
from kapelle.declare.methods import MethodSpec
from kapelle.declare.quality import ScoredRequest
from kapelle.declare.services import ServiceSpec
from kapelle.errors import DeadlineExceeded, Overloaded, ReplicaLost, Unavailable
from kapelle.gateway.calls import OpenCall, Race, SetbackError, Site, StreamCall, Unpack
from kapelle.gateway.link import Connect, Link
from kapelle.observe.access import MOST_CALLS
from kapelle.observe.metrics import LATENCY_BUCKETS, Registry
from kapelle.wire import messages
from kapelle.wire.payload import Payload

log = structlog.get_logger()

_GRANT = messages.STREAM_WINDOW // 2
"""Items of a stream that are taken before as many more are asked for."""


class Pool:
    """The replicas of one service. ``release`` is the one whose readiness counts: the one new requests see.

    ``code`` is the version of the app's code here. Replicas of the same are preferred; those of other code, which are
    there while containers are updated, are called where those are less than half, and if their methods look the same.
    """

    def __init__(
        self, spec: ServiceSpec, caller: str, registry: Registry, on_change: Callable[[], None], code: str = ""
    ) -> None:
        self.spec = spec
        self.release = ""
        self._code = code
        self._interface = interface_of(spec) if code else ""
        self._foreign: dict[Link, str] = {}
        """The code of each replica that people were told of."""
        self._caller = caller
        self._registry = registry
        self._on_change = on_change
        self._links: dict[str, Link] = {}
        self._retired: list[Link] = []
        self._balancers: dict[str, dict[int, Balancer]] = {}
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
            lambda: self.outstanding,
            service=spec.name,
        )

    # --- the replicas -------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> int:
        """Replicas that may be called, for the shard of the release that has the fewest."""
        return min((balancer.usable for balancer in self._balancers.get(self.release, {}).values()), default=0)

    def ready(self, release: str) -> bool:
        """Whether a replica may be called for every shard of ``release``."""
        balancers = self._balancers.get(release)
        return balancers is not None and all(balancer.usable for balancer in balancers.values())

    @property
    def outstanding(self) -> int:
        """Rows that were sent and not yet answered."""
        return sum(link.candidate.outstanding for link in (*self._links.values(), *self._retired))

    @property
    def names(self) -> list[str]:
        return list(self._links)

    def reaches(self, name: str) -> bool:
        """Whether this replica may be called."""
        link = self._links.get(name)
        return link is not None and link.candidate.standing is not Standing.UNREADY

    def trouble(self, name: str) -> str:
        """Why this replica cannot be reached; "" while it can, or nothing is known yet."""
        link = self._links.get(name)
        return link.trouble if link is not None else ""

    def add(self, name: str, connect: Connect) -> None:
        """A replica appeared, or is said to be back."""
        link = self._links.get(name)
        if link is None:
            self._links[name] = Link(name, self._caller, connect, self._changed)
        else:
            link.hurry(connect)

    def remove(self, name: str) -> None:
        """A replica is to be used no more; calls in its hands may still be answered."""
        link = self._links.pop(name)
        for balancers in self._balancers.values():
            for balancer in balancers.values():
                balancer.remove(name)
        self._foreign.pop(link, None)
        self._retired = [other for other in self._retired if not other.over] + [link]
        link.retire()

    def check(self, now: float) -> None:
        """Notice silent replicas and overdue calls; called about every second."""
        for link in (*self._links.values(), *self._retired):
            link.check(now)

    async def close(self) -> None:
        """End all links; calls in the replicas' hands come back as lost."""
        await asyncio.gather(*(link.close() for link in (*self._links.values(), *self._retired)))

    # --- releases -----------------------------------------------------------------------------------------------------

    def open(self, release: str, shards: Iterable[int]) -> None:
        """Calls for these shards of ``release`` will come (0 for a service without any)."""
        seed = zlib.crc32(f"{self._caller}/{self.spec.name}/{release}".encode())
        self._balancers[release] = {shard: Balancer(seed + shard) for shard in shards}
        self._changed()

    def forget(self, release: str) -> None:
        """No more calls for ``release`` will come."""
        self._balancers.pop(release, None)

    def shards(self, release: str) -> int:
        """How many shards the release has."""
        return len(self._balancers[release])

    # --- calls --------------------------------------------------------------------------------------------------------

    def site(self, method: MethodSpec, release: str, shard: int, unpack: Unpack) -> Site:
        """Where ``method`` is called from; ``unpack`` reads its results."""
        seconds = self._registry.histogram(
            "kapelle_call_seconds",
            "Calls from the gateway, answers included.",
            LATENCY_BUCKETS,
            service=self.spec.name,
            method=method.name,
        )
        name = f"{self.spec.name}.{method.name}"
        return Site(
            name=name, method=method.name, release=release, shard=shard, balancer=self._balancers[release][shard],
            policy=method.policy, unpack=unpack, seconds=seconds,
        )  # fmt: skip

    async def call(self, site: Site, rows: int, payload: Payload) -> Any:
        """The result of one call.

        Raises:
            CallError: of the kind that ended it.
        """
        began = now = monotonic()
        context = current_request()
        call = OpenCall(site, rows, payload, context, now)
        self._retries.earn()
        try:
            while True:
                link = self._pick(call)
                try:
                    if site.watched:
                        value = await self._watched(call, link, now)
                    else:
                        outcome: asyncio.Future[Any] = self._loop.create_future()
                        number = link.submit(call, outcome, now)
                        try:
                            value = await outcome
                        except asyncio.CancelledError:
                            link.cancel(number)
                            raise
                        finally:
                            del outcome  # what it has raised has this frame, which would have it
                except SetbackError as setback:
                    now = monotonic()
                    self._settle(call, setback, now)
                else:
                    took = monotonic() - began
                    site.seconds.observe(took)
                    if type(context) is ScoredRequest and len(context.way) < MOST_CALLS:
                        context.way.append((site.name, link.known_as, took))
                    return value
        finally:
            call.close()

    async def stream(self, site: Site, payload: Payload, unpack_item: Unpack) -> AsyncIterator[Any]:
        """The items of one call.

        Raises:
            CallError: of the kind that ended it.
        """
        now = monotonic()
        call = StreamCall(site, unpack_item, payload, current_request(), now)
        self._retries.earn()
        taken = 0
        try:
            while True:
                link = self._pick(call)
                end: asyncio.Future[Any] = self._loop.create_future()
                end.add_done_callback(call.wake)
                number = link.submit(call, end, now)
                try:
                    while await call.following(end):
                        yield call.ready.popleft()
                        taken += 1
                        if taken % _GRANT == 0:
                            link.grant(number, _GRANT)
                    return
                except SetbackError as setback:
                    now = monotonic()
                    self._settle(call, setback, now)
                finally:
                    link.cancel(number)
                    if not end.cancel():
                        end.exception()  # it may be of no interest any more
                    del end
        finally:
            call.close()
            call.failure = None

    def _pick(self, call: OpenCall) -> Link:
        candidate = call.site.balancer.pick(call.tried)
        if candidate is None:
            place = f"shard {call.site.shard} of {self.spec.name}" if self.spec.sharded else self.spec.name
            raise Unavailable(f"no replica of {place} is ready")
        call.attempt(candidate.name)
        return self._links[candidate.name]

    def _settle(self, call: OpenCall, setback: SetbackError, now: float) -> None:
        """Return to try again, or raise what the caller shall see."""
        refused = setback.kind is Setback.REFUSED
        again = call.setback(setback.kind, now, self._retries) is Verdict.RETRY
        if again and (not refused or self._has_untried(call)):
            self._retried.inc()
            return
        if now >= call.deadline:
            raise DeadlineExceeded(f"no answer of {call.site.name} before the deadline") from None
        if refused and setback.reason == messages.FULL:
            raise Overloaded(f"every replica of {self.spec.name} is full") from None
        if refused:
            raise Unavailable(f"no replica of {self.spec.name} takes calls: {setback.reason}") from None
        tried = ", ".join(call.tried)
        raise ReplicaLost(f"{call.site.name} was lost ({setback.reason}); tried {tried}") from None

    def _has_untried(self, call: OpenCall) -> bool:
        other = call.site.balancer.pick(call.tried)
        return other is not None and other.name not in call.tried

    async def _watched(self, call: OpenCall, link: Link, now: float) -> Any:
        """The outcome of an attempt with a time-out of its own, or with a second copy sent when it is slow."""
        policy = call.site.policy
        race = Race(self._loop.create_future())
        copies = [(link, link.submit(call, race, now))]
        timers = []
        if policy.timeout is not None:
            late = f"no answer of {call.site.name} within {policy.timeout:g} s"
            timers.append(
                self._loop.call_later(max(0.0, call.deadline - now), race.set_exception, DeadlineExceeded(late))
            )
        if policy.hedge is not None:
            self._hedges.earn()
            timers.append(self._loop.call_later(policy.hedge, self._hedge, call, race, copies))
        try:
            return await race.future
        finally:
            for timer in timers:
                timer.cancel()
            for other, number in copies:
                other.cancel(number)
            del race

    def _hedge(self, call: OpenCall, race: Race, copies: list[tuple[Link, int]]) -> None:
        if race.done() or not self._has_untried(call) or not self._hedges.spend():
            return
        self._hedged.inc()
        link = self._pick(call)
        race.running += 1
        copies.append((link, link.submit(call, race, monotonic())))

    def _changed(self) -> None:
        for release, balancers in self._balancers.items():
            for shard, balancer in balancers.items():
                known = {candidate.name for candidate in balancer.candidates}
                wanted = self._holding(release, shard)
                for name in known - wanted.keys():
                    balancer.remove(name)
                for name in wanted.keys() - known:
                    balancer.add(wanted[name].candidate)
                balancer.refresh()
        self._on_change()

    def _holding(self, release: str, shard: int) -> dict[str, Link]:
        """The replicas that calls for a shard may go to."""
        holding = {name: link for name, link in self._links.items() if shard in link.holds.get(release, ())}
        if not self._code:
            return holding
        alike = {name: link for name, link in holding.items() if self._is_alike(link)}
        same = {name: link for name, link in alike.items() if link.code == self._code}
        # A few of them could not do the work of all.
        return same if 2 * _usable(same) >= max(1, _usable(alike)) else alike

    def _is_alike(self, link: Link) -> bool:
        # The same code may look otherwise where other packages are installed, and is the same all the same.
        if link.code == self._code or link.interface == self._interface:
            return True
        if self._foreign.get(link) != link.code:
            self._foreign[link] = link.code
            log.warning(
                "a replica runs other code, whose methods look otherwise, and gets no calls; deploy one version of the "
                "code to all services",
                replica=link.candidate.name, theirs=link.code, ours=self._code,
            )  # fmt: skip
        return False


def _usable(links: dict[str, Link]) -> int:
    return sum(link.candidate.standing is not Standing.UNREADY for link in links.values())
