"""Streams of server-sent events, read as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kapelle.client.asking import Answer
from kapelle.client.failures import in_stream
from kapelle.client.reading import decoded
from kapelle.errors import ContractError, ReplicaLost

EVENT_STREAM = "text/event-stream"


class Event(NamedTuple):
    """One event; ``kind`` is empty where it has no name."""

    kind: str
    data: bytes


class Events:
    """Takes bytes as they come, in pieces of any size, and gives the events that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False
        self._kind = ""
        self._data: list[bytes] = []

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._rest or self._data)

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that end in ``data``."""
        if not data:
            return
        if self._after_return:
            data = data.removeprefix(b"\n")  # the second half of the line's end before
        self._after_return = data.endswith(b"\r")
        *lines, self._rest = (self._rest + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            if line:
                self._take(line)
            elif self._data:
                event = Event(self._kind, b"\n".join(self._data))
                self._kind, self._data = "", []
                yield event
            else:
                self._kind = ""

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode(errors="replace")


class Items:
    """The items of a stream, each as a value of type ``item``."""

    def __init__(self, head: Answer, item: Any) -> None:
        if head.content_type != EVENT_STREAM:
            kind = head.content_type or "no type"
            raise ContractError(
                f"expected a stream of events, got an answer of {kind}; ask for it with `post` or `get`"
            )
        self._item = item
        self._events = Events()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The items that end in ``data``.

        Raises:
            CallError: the stream ended with an error.
            ContractError: an item is of another type.
        """
        for event in self._events.feed(data):
            if event.kind == "error":
                raise in_stream(event.data)
            yield decoded(event.data, self._item)

    def end(self) -> None:
        """The stream is over.

        Raises:
            ReplicaLost: in the middle of an item.
        """
        if self._events.unfinished:
            raise ReplicaLost("the stream ended in the middle of an item")
