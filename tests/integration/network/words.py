"""The app that the containers run: every answer has parts from all over the system, each of which names its release."""

from __future__ import annotations

from pathlib import Path

import kapelle


@kapelle.service(replicas=2, artifact="model")
class WordModel:
    """Knows the word of its release."""

    def __init__(self, artifact: Path) -> None:
        self._word = (artifact / "word.txt").read_text()

    @kapelle.method(idempotent=True)
    async def word(self) -> str:
        """The word."""
        return self._word


@kapelle.service(sharded_by="index", copies=2)
class Part:
    """Knows it as well, in each of its shards."""

    def __init__(self, shard: Path) -> None:
        self._word = (shard / "part.txt").read_text()

    @kapelle.method(idempotent=True)
    async def word(self) -> str:
        """The word."""
        return self._word


@kapelle.app(artifact="model")
class Words:
    """Asks all of them."""

    model: WordModel
    part: kapelle.Sharded[Part]

    def __init__(self, artifact: Path) -> None:
        self._word = (artifact / "word.txt").read_text()

    @kapelle.post("/say")
    async def say(self, x: int) -> list[str]:
        """The number that came, and the word as everybody has it."""
        parts = [await self.part.shard(number).word() for number in range(len(self.part))]
        return [str(x), self._word, await self.model.word(), *parts]
