"""Load for an HTTP server: a closed loop, and an open loop that cannot flatter.

    python benchmarks/load.py --port 8080 --concurrency 64 --seconds 5    # as fast as 64 clients in turn can
    python benchmarks/load.py --port 8080 --rate 1000 --seconds 5         # 1,000 arrivals a second, come what may

In the closed loop each connection sends its next request when the last one is answered: the server's limit shows, its
stalls do not, for nobody arrives meanwhile. In the open loop requests are due at a constant rate and a latency counts
from the moment its request was due, whether or not a connection was free to send it.

Every answer's status and body are checked. Anything but the right answer is an error, never a latency.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import sys
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import uvloop

from client import Connection
from dialogue import Dialogue, Exchange, ask_for_predictions
from ticker import Ticker

HOST = "127.0.0.1"
# How long the last requests may still be answered once no more are sent.
GRACE_SECONDS = 5.0
# Connections an open loop may hold. Arrivals beyond wait their turn in the generator, on the clock.
OPEN_LOOP_CONNECTIONS = 256


@dataclass
class Outcome:
    """What a load saw.

    Attributes:
        latencies: seconds, of right answers only.
        errors: how often each kind of error happened.
        seconds: from the first request to the last answer.
    """

    latencies: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def right(self) -> int:
        return len(self.latencies)

    @property
    def wrong(self) -> int:
        return self.errors.total()

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return self.right / self.seconds if self.seconds else 0.0

    def quantiles(self, *shares: float) -> list[float]:
        """Latencies in milliseconds below which the given shares of the right answers lie; 1.0 is the largest.

        Without a single right answer there is no latency: every quantile is NaN.
        """
        ordered = sorted(self.latencies)
        if not ordered:
            return [float("nan")] * len(shares)
        return [ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1e3 for share in shares]

    def __str__(self) -> str:
        p50, p90, p99, worst = self.quantiles(0.5, 0.9, 0.99, 1.0)
        errors = ", ".join(f"{count} x {kind}" for kind, count in self.errors.most_common()) or "none"
        return (
            f"{self.right} right answers in {self.seconds:.2f} s ({self.rate:.0f}/s), "
            f"p50 {p50:.2f} ms, p90 {p90:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms; errors: {errors}"
        )


class _Load(ABC):
    """What both loops share: the exchanges in turn, the connections, the judgement of an answer."""

    def __init__(self, dialogue: Dialogue, port: int) -> None:
        self.outcome = Outcome()
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._turns: Iterator[tuple[Exchange, bytes]] = itertools.cycle(
            [(exchange, dialogue.request(exchange, port)) for exchange in dialogue.exchanges]
        )
        self._connections: set[Connection] = set()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._opening = 0
        self._finished = asyncio.Event()
        self._stopping = False

    async def connect(self) -> None:
        """Open one connection and hand it to `_ready`; a refusal is an error, and the last one ends the load."""
        self._opening += 1
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._answered, self._lost), HOST, self._port
            )
        except OSError as error:
            self.outcome.errors[f"connect: {error.strerror or error}"] += 1
            if self._opening == 1 and not self._connections:
                self._finished.set()
            return
        finally:
            self._opening -= 1
        if connection.lost:
            return  # before it could be used; `_lost` sees to another
        self._connections.add(connection)
        self._ready(connection, time.monotonic())

    def close(self) -> None:
        """Count what was never answered, and drop all connections."""
        self._stopping = True
        for task in self._reconnecting:
            task.cancel()
        for connection in self._connections:
            if connection.busy:
                self.outcome.errors[f"no answer within {GRACE_SECONDS:.0f} s of the end"] += 1
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()

    async def _finished_within(self, seconds: float) -> None:
        """Wait for the end of the load; what is owed an answer even then is for `close` to count."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finished.wait()

    def _send(self, connection: Connection, due: float) -> None:
        exchange, request = next(self._turns)
        connection.send(request, due, exchange)

    def _answered(self, connection: Connection, status: bytes, body: bytes) -> None:
        now = time.monotonic()
        exchange: Exchange = connection.context
        if status == b"200" and exchange.accepts(body):
            self.outcome.latencies.append(now - connection.sent_at)
        else:
            kind = "wrong answer" if status == b"200" else f"status {status.decode(errors='replace')}"
            self.outcome.errors[kind] += 1
        self._ready(connection, now)

    def _lost(self, connection: Connection, reason: str) -> None:
        self._connections.discard(connection)
        if self._stopping:
            return
        if connection.busy:
            self.outcome.errors[reason] += 1
        self._gone(connection)
        task = self._loop.create_task(self.connect())
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    @abstractmethod
    def _ready(self, connection: Connection, now: float) -> None:
        """The connection is free to send."""

    @abstractmethod
    def _gone(self, connection: Connection) -> None:
        """The connection will not answer any more."""


class _ClosedLoop(_Load):
    def __init__(self, dialogue: Dialogue, port: int) -> None:
        super().__init__(dialogue, port)
        self._until = 0.0

    async def run(self, concurrency: int, seconds: float) -> Outcome:
        start = time.monotonic()
        self._until = start + seconds
        await asyncio.gather(*(self.connect() for _ in range(concurrency)))
        await self._finished_within(seconds + GRACE_SECONDS)
        self.outcome.seconds = time.monotonic() - start
        self.close()
        return self.outcome

    def _ready(self, connection: Connection, now: float) -> None:
        if now < self._until:
            self._send(connection, now)
        elif not any(other.busy for other in self._connections):
            self._finished.set()

    def _gone(self, connection: Connection) -> None:
        if time.monotonic() >= self._until and not any(other.busy for other in self._connections):
            self._finished.set()


class _OpenLoop(_Load):
    def __init__(self, dialogue: Dialogue, port: int) -> None:
        super().__init__(dialogue, port)
        # First in, first out: no connection idles long enough for the server to close it.
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._scheduled = 0
        self._total = 0

    async def run(self, rate: float, seconds: float, connections: int) -> Outcome:
        await asyncio.gather(*(self.connect() for _ in range(connections)))
        self._total = max(1, round(rate * seconds))
        interval = 1 / rate
        start = time.monotonic() + 0.01
        ticker = Ticker(start, interval)

        def tick() -> None:
            for _ in range(min(ticker.elapsed(), self._total - self._scheduled)):
                self._waiting.append(start + self._scheduled * interval)
                self._scheduled += 1
            self._send_waiting()

        self._loop.add_reader(ticker.fileno(), tick)
        try:
            await self._finished_within(seconds + GRACE_SECONDS)
        finally:
            self._loop.remove_reader(ticker.fileno())
            ticker.close()
        if unsent := len(self._waiting) + self._total - self._scheduled:
            self.outcome.errors["never sent: no connection was free"] += unsent
        self.outcome.seconds = time.monotonic() - start
        self.close()
        return self.outcome

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            self._send(self._free.popleft(), self._waiting.popleft())

    def _ready(self, connection: Connection, now: float) -> None:
        self._free.append(connection)
        self._send_waiting()
        self._check_finished()

    def _gone(self, connection: Connection) -> None:
        if connection in self._free:
            self._free.remove(connection)
        self._check_finished()

    def _check_finished(self) -> None:
        if 0 < self._total == self._scheduled and not self._waiting and len(self._free) >= len(self._connections):
            self._finished.set()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the garbage collector's pauses out of the latencies."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def closed_loop(dialogue: Dialogue, port: int, *, concurrency: int, seconds: float) -> Outcome:
    """Keep `concurrency` requests in flight for the given time; returns when the last is answered."""

    async def run() -> Outcome:
        return await _ClosedLoop(dialogue, port).run(concurrency, seconds)

    with _no_collections():
        return uvloop.run(run())


def open_loop(
    dialogue: Dialogue, port: int, *, rate: float, seconds: float, connections: int = OPEN_LOOP_CONNECTIONS
) -> Outcome:
    """Send `rate` requests a second at even intervals; latencies count from when each was due."""

    async def run() -> Outcome:
        return await _OpenLoop(dialogue, port).run(rate, seconds, connections)

    with _no_collections():
        return uvloop.run(run())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="of the server, on 127.0.0.1")
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--concurrency", type=int, default=64, help="requests in flight of the closed loop")
    parser.add_argument("--rate", type=float, help="arrivals a second; makes it an open loop")
    options = parser.parse_args()
    dialogue = ask_for_predictions(options.path)
    if options.rate:
        outcome = open_loop(dialogue, options.port, rate=options.rate, seconds=options.seconds)
    else:
        outcome = closed_loop(dialogue, options.port, concurrency=options.concurrency, seconds=options.seconds)
    print(outcome)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
