"""A steady load for tests: a request every so often, whatever became of those before, and every answer is checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

from kapelle.clock import monotonic


class BrokenError(Exception):
    """The connection ended before any byte of an answer."""


@dataclass
class Client:
    """One keep-alive connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str, body: bytes) -> tuple[int, bytes, bool]:
        """Status and body of the answer, and whether the connection stays.

        Raises:
            BrokenError: it ended before the answer began.
        """
        head = f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n"
        try:
            self.writer.write(head.encode() + body)
            await self.writer.drain()
            first = await self.reader.readline()
        except ConnectionError as error:
            raise BrokenError(str(error)) from None
        if not first:
            raise BrokenError("closed")
        status = int(first.split()[1])
        length, stays = 0, True
        while (line := await self.reader.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            if not line:
                raise ConnectionError("the answer ended within its head")
            if name.lower() == "content-length":
                length = int(value)
            if name.lower() == "connection":
                stays = value.strip() != "close"
        return status, await self.reader.readexactly(length), stays


def number_body(number: int) -> bytes:
    """The number alone, as a body."""
    return json.dumps({"x": number}).encode()


def is_doubled(number: int, answer: bytes) -> bool:
    """Whether a number was doubled as it should be."""
    return answer == str(2 * number).encode()


@dataclass
class Load:
    """Sends numbers ``x`` at ``rate`` requests per second for as long as it is entered; ``is_right`` checks the answers.
    What is asked with a number is made by ``body``.

    ``failed`` says what became of those that were not answered rightly. ``forgiving`` is for faults of a gateway: a
    request whose connection ends before any byte of the answer is sent once more on a new one, as every HTTP client does,
    and counted in ``repeated``; one whose connection is refused counts as ``refused``. A request without an answer
    counts as lost after ``patience`` seconds.
    """

    url: str
    rate: float = 120.0
    path: str = "/double"
    is_right: Callable[[int, bytes], bool] = is_doubled
    body: Callable[[int], bytes] = number_body
    forgiving: bool = False
    patience: float = 25.0
    answered: int = 0
    repeated: int = 0
    refused: int = 0
    slowest: float = 0.0
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._idle: list[Client] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0
        self._began = 0.0
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Load:  # noqa: PYI034 - not made to be inherited from
        self._began = asyncio.get_running_loop().time()
        self._send_due()
        await self.more(10)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.stop()
        await asyncio.gather(*self._tasks)
        for client in self._idle:
            client.writer.close()
        await asyncio.gather(*(client.writer.wait_closed() for client in self._idle), return_exceptions=True)

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def more(self, count: int) -> None:
        """Return when ``count`` more requests have been answered."""
        target = self.answered + count
        await self.until(lambda: self.answered >= target)

    async def sent_more(self, count: int) -> None:
        """Return when ``count`` more requests have been sent, answered or not."""
        target = self._sent + count
        await self.until(lambda: self._sent >= target)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; it is looked at after every request and every outcome."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def check(self) -> None:
        """Nothing was lost or wrong."""
        assert not self.failed, f"{len(self.failed)} of {self._sent} failed: {self.failed[:5]}"

    def _send_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._began + self._sent / self.rate <= loop.time():
            self._sent += 1
            task = asyncio.create_task(self._send(self._sent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._changed.set()
        self._timer = loop.call_at(self._began + self._sent / self.rate, self._send_due)

    async def _send(self, number: int) -> None:
        began = monotonic()
        try:
            async with asyncio.timeout(self.patience):
                await self._ask(number)
            self.answered += 1
        except ConnectionRefusedError:
            self.refused += 1
            if not self.forgiving:
                self.failed.append(f"{number}: refused")
        except (BrokenError, OSError, TimeoutError, AssertionError, asyncio.IncompleteReadError) as error:
            self.failed.append(f"{number}: after {monotonic() - began:.3f} s: {error!r}")
        self.slowest = max(self.slowest, monotonic() - began)
        self._changed.set()

    async def _ask(self, number: int) -> None:
        try:
            await self._ask_once(number, fresh=False)
        except BrokenError:
            if not self.forgiving:
                raise
            self.repeated += 1
            await self._ask_once(number, fresh=True)

    async def _ask_once(self, number: int, *, fresh: bool) -> None:
        client = (None if fresh else self._kept()) or await self._connect()
        status, body, stays = 0, b"", False
        try:
            status, body, stays = await client.ask(self.path, self.body(number))
        finally:
            if stays:
                self._idle.append(client)
            else:
                client.writer.close()
        is_good = status == 200 and self.is_right(number, body)
        assert is_good, f"{status} {body!r} for {number}"

    def _kept(self) -> Client | None:
        """A connection from before; one that the other side has closed meanwhile is not used, as by every HTTP client."""
        while self._idle:
            client = self._idle.pop()
            if not client.reader.at_eof():
                return client
            client.writer.close()
        return None

    async def _connect(self) -> Client:
        place = urlsplit(self.url)
        return Client(*await asyncio.open_connection(place.hostname, place.port))
