"""A line to a process: what a supervisor or a gateway says to it, and hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kapelle.wire import messages
from tests.unit.transport.ends import End


class Line(End):
    """``union`` is what comes from the other side."""

    def __init__(self, connection: Any, union: Any) -> None:
        super().__init__(connection)
        self._decode = messages.Decoder[Any](union)
        self.start()

    def say(self, message: messages.Message) -> None:
        self.connection.send(messages.encode(message))

    @property
    def heard(self) -> list[Any]:
        """What was said, by itself or in a turn with others."""
        heard: list[Any] = []
        for frame in self.frames:
            message = self._decode(frame.head)
            heard += message.messages if isinstance(message, messages.TurnFromReplica) else [message]
        return heard

    async def hears(self, wanted: Callable[[Any], bool]) -> Any:
        """The first message that is wanted."""
        await self.until(lambda: self.lost or any(map(wanted, self.heard)))
        return next(filter(wanted, self.heard))

    async def state(self, name: str) -> messages.Health:
        """The first word of the process that it is in this state."""
        found = await self.hears(lambda one: isinstance(one, messages.Health) and one.state == name)
        assert isinstance(found, messages.Health)
        return found
