"""The clients of the demonstration: what they ask, what they are answered, and whether that is as it should be."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.question_search.demo_memory import Memory

DAMAGED = "index/shards/000/questions.json"
PATIENCE = 10.0  # seconds after which a request without an answer has failed
MIXED = "an answer that does not fit the release it names"


@dataclass(frozen=True)
class Release:
    """A release as it lies in the store: the cluster of each of its questions, and the file that can be damaged."""

    name: str
    clusters: dict[str, int]
    file: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a request. ``due`` and ``seconds``, which count from then on, are in seconds."""

    due: float
    seconds: float
    release: str  # empty where there was no answer
    wrong: str  # why there was none, or MIXED, or empty


@dataclass
class Phase:
    """A part of the demonstration: which release answers at first, which in the end, and the requests due meanwhile."""

    name: str
    old: str
    new: str
    began: float
    seconds: float = 0.0
    status: int | None = 0  # of the command that was given
    said: str = ""  # its last line; empty where none was given
    outcomes: list[Outcome] = field(default_factory=list)
    memory: int = 0  # bytes of all processes at their highest

    @property
    def answered(self) -> Counter[str]:
        """How many requests were answered, by release."""
        return Counter(one.release for one in self.outcomes if one.release)

    def end(self) -> tuple[bool, str]:
        """Whether it ended as it should have, and how, in words."""
        others = self.answered.keys() - {self.old, self.new}
        if others or not self.answered:
            return False, f"answered by {', '.join(others) or 'nobody'}"
        if self.old != self.new:
            after = self._switched_after()
            if self.status or after is None:
                return False, f"not switched to {self.new} for good: {self.said}"
            return True, f"{self.new} took over after {after:.1f} s, for good"
        if self.said:
            refused = self.status != 0 and DAMAGED in self.said
            return refused, f"refused: {DAMAGED} is damaged" if refused else self.said
        return True, f"{self.new} answered"

    def _switched_after(self) -> float | None:
        """When the new release's first answer came, if all requests that were due after that were answered by it, too."""
        arrivals = [one.due + one.seconds for one in self.outcomes if one.release == self.new]
        later = {one.release for one in self.outcomes if arrivals and one.due > min(arrivals) and one.release}
        return min(arrivals) - self.began if later == {self.new} else None


class Load:
    """Asks a question every ``1 / rate`` seconds, whatever became of those before: what is slow is not spared."""

    def __init__(
        self, url: str, questions: Sequence[str], rate: float, releases: Sequence[Release], memory: Memory
    ) -> None:
        self._place = urlsplit(url)
        self._questions = cycle(questions)
        self._rate = rate
        self._memory = memory
        self._clusters = {release.name: release.clusters for release in releases}
        self._asking: set[asyncio.Task[None]] = set()
        self.phases: list[Phase] = []

    @contextmanager
    def phase(self, name: str, old: str, new: str) -> Iterator[Phase]:
        """A new phase, to which all requests belong that become due from now on."""
        phase = Phase(name, old, new, time.monotonic())
        self.phases.append(phase)
        self._memory.take_peak()
        yield phase
        phase.seconds = time.monotonic() - phase.began
        phase.memory = self._memory.take_peak()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask from the block's first phase to its end, and wait for the last answers."""
        sending, watching = asyncio.create_task(self._send()), asyncio.create_task(self._memory.watch())
        try:
            yield
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, *self._asking, return_exceptions=True)

    async def _send(self) -> None:
        began = time.monotonic()
        for number in count():
            due = began + number / self._rate
            await asyncio.sleep(due - time.monotonic())
            task = asyncio.create_task(self._ask(next(self._questions), due, self.phases[-1]))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, question: str, due: float, phase: Phase) -> None:
        release = wrong = ""
        try:
            async with asyncio.timeout(PATIENCE):
                release, matches = await self._post({"instances": [question], "count": 3})
            clusters = self._clusters.get(release, {})
            # Each question of the answer has to be in that release, and in that of its clusters.
            if not matches or any(clusters.get(one["question"]) != one["cluster"] for one in matches):
                wrong = MIXED
        except (OSError, TimeoutError, ValueError, LookupError) as error:
            wrong = f"{type(error).__name__}: {error}"
        phase.outcomes.append(Outcome(due, time.monotonic() - due, release, wrong))

    async def _post(self, question: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """The release that answered, and the matches. Each request has a connection of its own, as of a new client."""
        body = json.dumps(question).encode()
        head = f"POST /process HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        try:
            writer.write(head.encode() + body)
            received, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        status, *lines = received.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if " 200 " not in status or len(answer) != int(headers["content-length"]):
            raise ValueError(f"{status or 'no answer'}: {answer[:200].decode(errors='replace')}")
        return headers["x-kapelle-release"], json.loads(answer)["matches"]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that a ``share`` (0 to 1) of the values does not exceed; NaN where there is none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan
