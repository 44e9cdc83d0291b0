"""An open loop against POST /find that writes down every request: when it was due, how long it took, which version answered.

    python benchmarks/publish_load.py --port 8080 --rate 200 --seconds 20

Prints a JSON array of [due, seconds, version], `due` in seconds since the start; version 0 is a request that failed. A
latency counts from the moment the request was due. A connection that breaks before the answer fails the request: it is
not sent again.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time

import uvloop

from client import Connection
from ticker import Ticker

HOST = "127.0.0.1"
PATIENCE = 5.0
"""Seconds after which a request has failed."""


class Load:
    """Requests at a constant rate on as many connections as it takes."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        self.records: list[tuple[float, float, int]] = []
        self._port = port
        self._rate = rate
        self._count = round(rate * seconds)
        self._idle: list[Connection] = []

    async def run(self, start: float) -> None:
        """Send from `start` on, on the clock of `time.monotonic()`, and wait for all that comes of it."""
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        all_sent = asyncio.Event()
        ticker = Ticker(start, 1 / self._rate)

        def tick() -> None:
            for _ in range(ticker.elapsed()):
                if len(tasks) < self._count:
                    due = start + len(tasks) / self._rate
                    tasks.append(loop.create_task(self._request(len(tasks), due, start)))
            if len(tasks) == self._count:
                all_sent.set()

        loop.add_reader(ticker.fileno(), tick)
        await all_sent.wait()
        loop.remove_reader(ticker.fileno())
        ticker.close()
        await asyncio.gather(*tasks)

    async def _request(self, number: int, due: float, start: float) -> None:
        version = 0
        try:
            async with asyncio.timeout(PATIENCE):
                version = await self._ask(number)
        except (OSError, TimeoutError, ValueError):
            version = 0
        self.records.append((due - start, time.monotonic() - due, version))

    async def _ask(self, number: int) -> int:
        body = b'{"row":%d}' % number
        request = b"POST /find HTTP/1.1\r\nhost: bench\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        connection = await self._connection()
        answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        connection.send(request, time.monotonic(), answer)
        try:
            status, found = await answer
        except BaseException:
            connection.close()
            raise
        if not connection.lost:
            self._idle.append(connection)
        if status != b"200":
            raise ValueError(status.decode())
        return int(json.loads(found)["version"])

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(_answered, _lost), HOST, self._port
        )
        return connection


def _answered(connection: Connection, status: bytes, body: bytes) -> None:
    if not connection.context.done():
        connection.context.set_result((status, body))


def _lost(connection: Connection, reason: str) -> None:
    if connection.context is not None and not connection.context.done():
        connection.context.set_exception(ConnectionError(reason))


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--start", type=float, default=0.0, help="when to begin, on the clock of time.monotonic()")
    given = parser.parse_args()
    load = Load(given.port, given.rate, given.seconds)
    gc.disable()  # a pause of the load would look like one of the server
    await load.run(given.start or time.monotonic())
    json.dump(sorted(load.records), sys.stdout)


if __name__ == "__main__":
    uvloop.run(main())
