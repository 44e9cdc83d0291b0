"""A fleet of obedient processes around one Rollout: each test decides what is delivered when."""

from __future__ import annotations

from dataclasses import dataclass, field

from kapelle.core.rollout import Rollout
from kapelle.core.rollout_fence import Fence
from kapelle.core.rollout_messages import (
    AskGolden,
    Denied,
    Effect,
    Ended,
    MovePointer,
    Order,
    Pointer,
    Prepare,
    Process,
    Report,
    Rest,
    Retire,
    Route,
    Shape,
    Shards,
    Terms,
)

TERMS = Terms(prepare_timeout=100, golden_timeout=10, bake=20, reassign_after=30, repeat=5, linger=5, claim_after=2)
COPIES = {"encoder": 1, "cluster": 2}
SERVICES = {"encoder": "encoder", "cluster-0": "cluster", "cluster-1": "cluster", "gateway": ""}


@dataclass
class Player:
    """A process that does at once what it is told."""

    process: Process
    fence: Fence = field(default_factory=Fence)
    holds: dict[str, Shards] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    routed: tuple[int, str] | None = None
    busy: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    number: int = 0

    def obey(self, order: Order) -> None:
        epoch = self.fence.epoch
        if not self.fence.admits(order.stamp, order.release):
            return
        if self.fence.epoch > epoch:
            self.failed.clear()
        match order:
            case Prepare() if order.release in self.broken:
                self.failed[order.release] = "dimension 3, expected 4"
            case Prepare() if order.shards:
                self.holds[order.release] = self.holds.get(order.release, frozenset()) | order.shards
            case Retire():
                self.holds[order.release] = self.holds.get(order.release, frozenset()) - order.shards
                if not self.holds[order.release]:
                    del self.holds[order.release]
            case Rest():
                self.routed = (order.stamp.epoch, "")
            case Route():
                assert order.release in self.holds
                assert self.routed is None or self.routed[0] <= order.stamp.epoch
                self.routed = (order.stamp.epoch, order.release)
            case _:
                pass

    def report(self) -> Report:
        self.number += 1
        return Report(
            self.process,
            self.number,
            self.fence.epoch,
            dict(self.fence.heard),
            dict(self.holds),
            frozenset(),
            dict(self.failed),
            self.routed,
            dict(self.busy),
        )


class Stage:
    """``play`` carries out all effects until nothing more follows."""

    def __init__(
        self, log: list[Pointer] | None = None, *, terms: Terms = TERMS, in_turn: frozenset[str] = frozenset()
    ) -> None:
        self.now = 1000.0
        self.in_turn = in_turn
        self.log = log if log is not None else [Pointer(1, "r1", author="somebody before")]
        self.terms = terms
        self.players = {name: self.new_player(name, 1) for name in SERVICES}
        self.golden_failure: str | None = None
        self.deadly: set[str] = set()
        """The releases that kill whoever loads them."""
        self.slow: set[str] = set()
        """The releases that nobody gets ready."""
        self.dead: set[str] = set()
        self.said: list[Effect] = []
        self.rollout = self.new_rollout("first")

    @staticmethod
    def new_player(name: str, incarnation: int) -> Player:
        service = SERVICES[name]
        role = "replica" if service else "gateway"
        return Player(Process(name, "gateway" if role == "gateway" else "replica", service, f"on-{name}", incarnation))

    def new_rollout(self, author: str) -> Rollout:
        self.rollout = Rollout(author, self.terms)
        for number in range(1, 6):
            self.rollout.shape(
                Shape(f"r{number}", {"encoder": (), "cluster": (10, 20)}, COPIES, self.in_turn), self.now
            )
        for player in self.players.values():
            self.rollout.started(player.process, self.now)
        return self.rollout

    def settle(self) -> None:
        """Let it hear the pointer and everybody, and wait until all is as it should be."""
        self.play(self.rollout.read(self.log[-1], self.now))
        for player in self.players.values():
            self.play(self.rollout.report(player.report(), self.now))
        for _ in range(4):
            self.wait(3)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.rollout.wake is not None and self.rollout.wake <= end:
            self.now = max(self.now, self.rollout.wake)
            self.play(self.rollout.tick(self.now))
        self.now = end
        self.play(self.rollout.tick(self.now))

    def play(self, effects: list[Effect]) -> None:
        queue = list(effects)
        while queue:
            effect = queue.pop(0)
            self.said.append(effect)
            queue += self.carry_out(effect)

    def carry_out(self, effect: Effect) -> list[Effect]:
        match effect:
            case Prepare() | Retire() | Route() | Rest():
                player = self.players[effect.process.name]
                if player.process != effect.process:
                    return []
                if isinstance(effect, Prepare) and effect.shards and effect.release in self.deadly:
                    self.dead.add(effect.process.name)
                    return self.rollout.gone(effect.process.name, effect.process.incarnation, self.now)
                if not (isinstance(effect, Prepare) and effect.release in self.slow):
                    player.obey(effect)
                return self.rollout.report(player.report(), self.now)
            case MovePointer(entry=entry):
                if entry.epoch == self.log[-1].epoch + 1:
                    self.log.append(entry)
                return self.rollout.read(self.log[-1], self.now)
            case AskGolden(epoch=epoch, release=release):
                return self.rollout.golden(epoch, release, self.golden_failure, self.now)
            case _:
                return []

    def tell(self, name: str) -> None:
        self.play(self.rollout.report(self.players[name].report(), self.now))

    def kill(self, name: str) -> None:
        process = self.players[name].process
        self.play(self.rollout.gone(name, process.incarnation, self.now))

    def restart(self, name: str) -> None:
        self.players[name] = self.new_player(name, self.players[name].process.incarnation + 1)
        self.play(self.rollout.started(self.players[name].process, self.now))
        self.tell(name)

    @property
    def ended(self) -> list[Ended]:
        return [effect for effect in self.said if isinstance(effect, Ended)]

    @property
    def denied(self) -> list[str]:
        return [effect.reason for effect in self.said if isinstance(effect, Denied)]

    def held(self) -> dict[str, list[str]]:
        return {name: sorted(player.holds) for name, player in self.players.items()}
