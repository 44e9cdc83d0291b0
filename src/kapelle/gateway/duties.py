"""What a gateway does for the releases it holds: obeys orders, asks golden queries, says how each does under traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from kapelle.artifacts.keeper import Keeper
from kapelle.gateway import golden
from kapelle.gateway.assembly import Assembly
from kapelle.wire import messages

_encode = msgspec.msgpack.Encoder().encode


class Duties:
    """Hears what the controller wants. ``tell`` gets what is for all who attend."""

    def __init__(self, assembly: Assembly, keeper: Keeper) -> None:
        self.tell: Callable[[messages.FromProcess], None] = lambda _: None
        self._assembly = assembly
        self._keeper = keeper
        self._asking: dict[tuple[int, str], asyncio.Task[None]] = {}

    def told(self, duty: messages.Duty) -> messages.FromProcess | None:
        """Do it; the answer, if there is one at once."""
        match duty:
            case messages.Attend():
                return self._keeper.report
            case messages.AskGolden(epoch, release):
                self._ask(epoch, release)
            case messages.TakePulse():
                editions = self._assembly.editions.values()
                return messages.Pulse({one.release: msgspec.Raw(_encode(one.vitals)) for one in editions})
            case _:
                self._keeper.obey(duty)
        return None

    def _ask(self, epoch: int, release: str) -> None:
        """Ask the golden queries; a question that comes twice is answered by the queries that already run."""
        key = epoch, release
        if key in self._asking:
            return
        task = self._asking[key] = asyncio.create_task(self._answer(epoch, release))
        task.add_done_callback(lambda _: self._asking.pop(key, None))

    async def _answer(self, epoch: int, release: str) -> None:
        edition = self._assembly.editions.get(release)
        if edition is None:
            failure: str | None = f"{release} is not prepared in this gateway"
        else:
            failure = await golden.ask(edition, self._assembly.spec)
        self.tell(messages.GoldenAnswer(epoch, release, failure or ""))
