"""The releases of a simulated world, some of them broken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from kapelle.core.rollout_messages import Shape


class Flaw(StrEnum):
    """What is wrong with a release."""

    NONE = "none"
    LOAD = "a shard does not load"
    DEATH = "a shard kills its process"
    GATEWAY = "the app does not load"
    GOLDEN = "a golden query fails"
    WORSE = "traffic finds it worse"


@dataclass(frozen=True, slots=True)
class Release:
    """``shard`` is the one that the flaw is in."""

    name: str
    shape: Shape
    flaw: Flaw
    shard: int

    @property
    def must_not_be_committed(self) -> bool:
        """Whether it is to be found out before it has traffic."""
        return self.flaw not in (Flaw.NONE, Flaw.WORSE)


def draw(random: Random, name: str, *, sound: bool) -> Release:
    """A release of one to four shards."""
    sizes = tuple(random.randrange(1, 100) for _ in range(random.randrange(1, 5)))
    flaw = Flaw.NONE
    if not sound and random.random() < 0.5:
        flaw = random.choice([Flaw.LOAD, Flaw.DEATH, Flaw.GATEWAY, Flaw.GOLDEN, Flaw.WORSE, Flaw.WORSE])
    return Release(name, Shape(name, {"encoder": (), "cluster": sizes}), flaw, random.randrange(len(sizes)))
