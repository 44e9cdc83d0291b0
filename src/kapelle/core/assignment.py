"""Which replicas hold which shards of a release: a pure function of sizes, replicas and where the shards were before.

In this order: every shard has its copies; copies of a shard are on as many nodes as there can be; a shard stays where it
was; the loads in bytes are even. A copy moves only for one of three reasons: its replica left, two copies share a node
while another node has none, or a newcomer (a replica that ``before`` does not name) takes its part of the load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kapelle.errors import KapelleError


class Unassignable(KapelleError):
    """Shards cannot be assigned to these replicas."""

    code = "unassignable"


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that can hold shards, and the machine it runs on."""

    name: str
    node: str


NOWHERE: Mapping[str, frozenset[int]] = {}
TOLERANCE = 1.25
"""How much heavier the heaviest replica may be than it need be, for the sake of shards that stay where they are."""


def assign(
    sizes: Sequence[int], replicas: Sequence[Replica], copies: int, before: Mapping[str, frozenset[int]] = NOWHERE
) -> dict[str, frozenset[int]]:
    """The shards of each replica, by its name. ``sizes`` are bytes; the order of ``replicas`` does not matter.

    Raises:
        Unassignable: there are shards and no replica, fewer than one copy is asked for, or a name is there twice.
    """
    _check(sizes, replicas, copies)
    table = _Table(sizes, replicas)
    largest_first = sorted(range(len(sizes)), key=lambda shard: (-sizes[shard], shard))
    copies = min(copies, len(replicas))
    for shard in largest_first:
        table.keep(shard, copies, before)
    for shard in largest_first:
        table.fill(shard, copies)
    for shard in largest_first:
        table.spread(shard)
    table.level([each.name for each in table.replicas if each.name not in before])
    return {name: frozenset(held) for name, held in table.held.items()}


def assign_next(
    sizes: Sequence[int], replicas: Sequence[Replica], copies: int, now: Mapping[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """The assignment of the release after the one that is held as ``now`` says, with as many shards.

    Shards stay where files of theirs may be in a cache, unless their sizes have changed so much that the heaviest
    replica would be ``TOLERANCE`` times as heavy as in an assignment from nothing.
    """
    anew = assign(sizes, replicas, copies)
    kept = assign(sizes, replicas, copies, now)
    return kept if _heaviest(kept, sizes) <= TOLERANCE * _heaviest(anew, sizes) else anew


class _Table:
    """The assignment while it is made."""

    def __init__(self, sizes: Sequence[int], replicas: Sequence[Replica]) -> None:
        # An empty shard counts as a byte, so that a thousand of them do not end on one replica.
        self.weights = [max(1, size) for size in sizes]
        self.replicas = sorted(replicas, key=lambda each: each.name)
        self.node = {each.name: each.node for each in self.replicas}
        self.nodes = len(set(self.node.values()))
        self.load = dict.fromkeys(self.node, 0)
        self.held: dict[str, set[int]] = {name: set() for name in self.node}
        self.holders: list[list[str]] = [[] for _ in sizes]

    def keep(self, shard: int, copies: int, before: Mapping[str, frozenset[int]]) -> None:
        """Leave it with those of its holders that are still there, no more than ``copies`` of them."""
        staying = [name for name in self.node if shard in before.get(name, ())]
        while staying and len(self.holders[shard]) < copies:
            staying.remove(name := self._best(shard, staying))
            self._give(shard, name)

    def fill(self, shard: int, copies: int) -> None:
        """Give it to those with the least load until it has all its copies."""
        while len(self.holders[shard]) < copies:
            self._give(shard, self._best(shard, self._others(shard)))

    def spread(self, shard: int) -> None:
        """While two copies share a node and another node has none, move one of them there."""
        holders = self.holders[shard]
        while len(used := {self.node[name] for name in holders}) < min(len(holders), self.nodes):
            doubled = [name for name in holders if self._on_node(shard, self.node[name]) > 1]
            self._take(shard, max(doubled, key=lambda name: (self.load[name], name)))
            free = [name for name in self.node if self.node[name] not in used]
            self._give(shard, self._best(shard, free))

    def level(self, newcomers: Sequence[str]) -> None:
        """Move copies onto ``newcomers`` while that makes two loads more even. Each move makes the sum of squares less."""
        moving = bool(newcomers)
        while moving:
            moving = False
            for light in sorted(newcomers, key=lambda name: (self.load[name], name)):
                heavy_first = sorted(self.load, key=lambda name: (-self.load[name], name))
                moving = any(self._relieve(heavy, light) for heavy in heavy_first)
                if moving:
                    break

    def _relieve(self, heavy: str, light: str) -> bool:
        """Move the largest shard that fits between the two loads."""
        gap = self.load[heavy] - self.load[light]
        fitting = [
            shard
            for shard in self.held[heavy]
            if self.weights[shard] < gap and shard not in self.held[light] and self._may_move(shard, heavy, light)
        ]
        if not fitting:
            return False
        shard = max(fitting, key=lambda each: (self.weights[each], -each))
        self._take(shard, heavy)
        self._give(shard, light)
        return True

    def _may_move(self, shard: int, source: str, target: str) -> bool:
        """Whether the copies would be on different nodes as much as they are now."""
        here, there = self.node[source], self.node[target]
        return here == there or self._on_node(shard, there) < self._on_node(shard, here)

    def _best(self, shard: int, names: Sequence[str]) -> str:
        return min(names, key=lambda name: (self._on_node(shard, self.node[name]), self.load[name], name))

    def _others(self, shard: int) -> list[str]:
        return [name for name in self.node if shard not in self.held[name]]

    def _on_node(self, shard: int, node: str) -> int:
        return sum(self.node[name] == node for name in self.holders[shard])

    def _give(self, shard: int, name: str) -> None:
        self.held[name].add(shard)
        self.holders[shard].append(name)
        self.load[name] += self.weights[shard]

    def _take(self, shard: int, name: str) -> None:
        self.held[name].remove(shard)
        self.holders[shard].remove(name)
        self.load[name] -= self.weights[shard]


def _check(sizes: Sequence[int], replicas: Sequence[Replica], copies: int) -> None:
    if sizes and not replicas:
        raise Unassignable(f"{len(sizes)} shards and no replica to hold them; start at least one, better {copies}")
    if copies < 1:
        raise Unassignable(f"copies is {copies}; expected 1 or more")
    names = [each.name for each in replicas]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Unassignable(f"replicas share the name {', '.join(twice)}; expected a name of its own for each")


def _heaviest(assignment: Mapping[str, frozenset[int]], sizes: Sequence[int]) -> int:
    return max((sum(max(1, sizes[shard]) for shard in held) for held in assignment.values()), default=0)
