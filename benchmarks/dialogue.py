"""What a benchmark asks and how it knows a right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

# Bodies that were decoded and found right once are then recognised by their bytes alone. The bound is for servers
# whose every answer differs, by an id of their own for instance.
REMEMBERED_BODIES = 64


@dataclass(frozen=True)
class Exchange:
    """One request body and the value that a right answer holds, which is JSON.

    Attributes:
        body: what to post.
        at: the keys and indices that lead from the answer's root to the value, `("predictions",)` for instance.
        expected: the value itself.
    """

    body: bytes
    at: tuple[str | int, ...]
    expected: object
    _seen: set[bytes] = field(default_factory=set, compare=False, repr=False)

    def accepts(self, answer: bytes) -> bool:
        """Whether the body of an answer is JSON and holds the expected value."""
        if answer in self._seen:
            return True
        try:
            value: Any = msgspec.json.decode(answer)
            for step in self.at:
                value = value[step]
        except (msgspec.DecodeError, LookupError, TypeError):
            return False
        right = bool(value == self.expected)
        if right and len(self._seen) < REMEMBERED_BODIES:
            self._seen.add(answer)
        return right


@dataclass(frozen=True)
class Dialogue:
    """The exchanges a load takes in turn, the path they are posted to, and what their bodies are.

    Attributes:
        headers: whole lines beyond the usual ones.
    """

    path: str
    exchanges: Sequence[Exchange]
    content_type: str = "application/json"
    headers: str = ""

    def request(self, exchange: Exchange, port: int) -> bytes:
        """The exchange's HTTP request, whole."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"{self.headers}content-type: {self.content_type}\r\ncontent-length: {len(exchange.body)}\r\n\r\n"
        )
        return head.encode() + exchange.body


# Three flowers with three different answers: a server that mixes up its callers is caught.
FLOWERS: Sequence[tuple[list[float], int]] = (
    ([5.1, 3.5, 1.4, 0.2], 0),
    ([5.9, 3.2, 4.2, 1.5], 1),
    ([6.9, 3.1, 5.4, 2.1], 2),
)


def ask_for_predictions(path: str = "/predict", at: tuple[str | int, ...] = ("predictions",)) -> Dialogue:
    """`{"instances": [[...]]}`, answered by `{"predictions": [...]}`."""
    return Dialogue(
        path,
        [Exchange(msgspec.json.encode({"instances": [row]}), at, [flower]) for row, flower in FLOWERS],
    )


def ask_for_echo(path: str = "/predict") -> Dialogue:
    """The same bodies, answered by themselves."""
    return Dialogue(
        path,
        [Exchange(msgspec.json.encode({"instances": [row]}), ("instances",), [row]) for row, _ in FLOWERS],
    )
