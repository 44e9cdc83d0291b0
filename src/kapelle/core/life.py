"""The life of one supervised process: when to start, replace, kill and give up on it.

    waiting ──spawn──▶ starting ──ready──▶ serving ──drain──▶ draining ──exit──▶ ended
       ▲                  │                   │                  │
       └──── backoff ◀────┴──── exit, hang ◀──┴──────────────────┘ (unless it was asked to end)

Events carry ``now``; every method returns the effects for the shell to carry out. Nothing here waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    SERVING = "serving"
    STUCK = "stuck"
    DRAINING = "draining"
    ENDED = "ended"


class Effect(Enum):
    """What the shell must do."""

    SPAWN = "spawn"
    KILL = "kill"
    DRAIN = "drain"
    ANNOUNCE = "announce"
    """Tell the gateways: the process became usable, or stopped being so."""
    REPLACE = "replace"
    """Start a successor; when it serves, this one is to be drained."""
    ALARM = "alarm"
    """It is in a crash loop, or cannot keep to its memory limit: say so loudly, once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Durations in seconds, ``memory_limit`` in bytes."""

    start_timeout: float = 600.0
    hang_after: float = 10.0
    drain_timeout: float = 30.0
    first_backoff: float = 0.1
    longest_backoff: float = 30.0
    stable_after: float = 60.0
    crash_loop: int = 5
    memory_limit: int | None = None


class Life:
    """The life of one process through all its incarnations."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.phase = Phase.WAITING
        self.restarts = 0
        self.crashes = 0
        self.reason = ""
        self.killed = False
        """The running incarnation was told to end at once."""
        self.untouched = False
        """The running incarnation was never given any work."""
        self._ending = False
        self._since = 0.0
        self._serving_since: float | None = None
        self._heard = 0.0
        self._wake: float | None = None
        self._floor = 0
        self._replaced = False
        self._alarmed = False

    @property
    def usable(self) -> bool:
        """Whether gateways may send it calls."""
        return self.phase is Phase.SERVING

    @property
    def crash_looping(self) -> bool:
        return self.crashes >= self.terms.crash_loop

    @property
    def wake(self) -> float | None:
        """When ``tick`` is due next; None when only an event can change anything."""
        return self._wake

    def start(self, now: float) -> list[Effect]:
        """Bring it to life for the first time."""
        return self._spawn(now)

    def adopt(self, now: float, *, ready: bool) -> list[Effect]:
        """It runs already, started by a controller that is gone; ``ready`` when that one last saw it serve."""
        self._enter(Phase.SERVING if ready else Phase.STARTING, now)
        return [Effect.ANNOUNCE] if ready else []

    def heard(self, state: str, detail: str, now: float) -> list[Effect]:
        """The process reported its state: starting, waiting (for others), ready, stuck or draining."""
        self._heard = now
        if self.killed or self.phase in (Phase.WAITING, Phase.ENDED):
            return []
        self.untouched = self.untouched and state == "starting"
        if state == "ready" and self.phase is Phase.STARTING:
            self._enter(Phase.SERVING, now)
            return [Effect.ANNOUNCE]
        if state == "stuck" and self.phase is Phase.SERVING:
            return self._give_up(detail, now)
        if state == "draining" and self.phase in (Phase.STARTING, Phase.SERVING):
            # Somebody else has asked it to end: another takes its place when it is gone, and that is no crash.
            was_usable = self.usable
            self._enter(Phase.DRAINING, now)
            return [Effect.ANNOUNCE] if was_usable else []
        if state == "waiting" and self.phase is Phase.STARTING:
            # Its own part is done; how long the others take is not held against it.
            self._since = now
        self._forgive(now)
        self._schedule()
        return []

    def begins_with(self, size: int) -> list[Effect]:
        """Its resident memory when it became ready. Where that is over the limit, a successor would not help."""
        self._floor = size
        limit = self.terms.memory_limit
        if limit is None or size <= limit or self.phase is not Phase.SERVING:
            return []
        self.reason = f"it begins with {size >> 20} MiB, more than its limit of {limit >> 20} MiB"
        return [Effect.ALARM]

    def memory(self, size: int, now: float) -> list[Effect]:
        """Its resident memory is ``size`` bytes: replaced beyond the limit, killed at once far beyond it."""
        limit = self.terms.memory_limit
        if limit is None or size <= limit or self.killed or self.phase not in (Phase.SERVING, Phase.DRAINING):
            return []
        if size > 2 * limit:
            return self._give_up(f"memory {size >> 20} MiB, more than twice the limit of {limit >> 20} MiB", now)
        if self._replaced or self._floor > limit or self.phase is Phase.DRAINING:
            return []
        self.give_way()
        self.reason = f"memory {size >> 20} MiB, limit {limit >> 20} MiB"
        return [Effect.REPLACE]

    def give_way(self) -> None:
        """Another takes its place: when it ends, it is not started again."""
        self._replaced = True

    def drain(self, now: float) -> list[Effect]:
        """It is no longer wanted: finish what runs, then end."""
        self._ending = True
        if self.phase is Phase.WAITING:
            self._enter(Phase.ENDED, now)
            return []
        if self.phase in (Phase.DRAINING, Phase.ENDED):
            return []
        was_usable = self.usable
        self._enter(Phase.DRAINING, now)
        if self.untouched:
            # It was never given any work, and may be deep in a long import.
            return self._give_up("ended before it was ready", now)
        return [Effect.ANNOUNCE, Effect.DRAIN] if was_usable else [Effect.DRAIN]

    def exited(self, reason: str, now: float) -> list[Effect]:
        """The process is gone."""
        if self.phase in (Phase.WAITING, Phase.ENDED):
            return []
        if self._ending or self._replaced:
            self._enter(Phase.ENDED, now)
            return [Effect.ANNOUNCE]
        if self.phase is Phase.DRAINING and not self.killed:
            self.reason = f"asked to end by somebody else ({reason})"
            self._enter(Phase.WAITING, now)
            self._wake = now
            return [Effect.ANNOUNCE]
        self._forgive(now)
        self.crashes += 1
        self.reason = reason if not self.killed else f"{self.reason or 'killed'} ({reason})"
        effects = [Effect.ANNOUNCE]
        self._enter(Phase.WAITING, now)
        self._wake = now + self._backoff()
        if self.crash_looping and not self._alarmed:
            self._alarmed = True
            effects.append(Effect.ALARM)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: what is overdue."""
        if self._wake is None or now < self._wake:
            return []
        if self.phase is Phase.WAITING:
            self.restarts += 1
            return self._spawn(now)
        # Once killed, the exit was not seen in time: say it again.
        return self._give_up(self.reason if self.killed else self._overdue(), now)

    def _give_up(self, reason: str, now: float) -> list[Effect]:
        """Kill it; from here on only its exit counts."""
        was_usable = self.usable
        if was_usable:
            self.phase = Phase.STUCK
        self.reason = reason
        self.killed = True
        self._wake = now + self.terms.hang_after
        return [Effect.ANNOUNCE, Effect.KILL] if was_usable else [Effect.KILL]

    def _forgive(self, now: float) -> None:
        """Long enough in service: earlier crashes count no more."""
        if self._serving_since is not None and now - self._serving_since >= self.terms.stable_after:
            self.crashes = 0
            self._alarmed = False

    def _backoff(self) -> float:
        # The power is bounded too: a crash loop of a day would overflow it.
        doubled = self.terms.first_backoff * 2.0 ** min(self.crashes - 1, 64)
        return min(self.terms.longest_backoff, doubled)

    def _overdue(self) -> str:
        """What it was to wake for."""
        terms = self.terms
        if self.phase is Phase.STARTING:
            return f"not ready after {terms.start_timeout:g} s"
        if self.phase is Phase.DRAINING:
            return f"still busy {terms.drain_timeout:g} s after it was asked to drain"
        return f"silent for {terms.hang_after:g} s"

    def _spawn(self, now: float) -> list[Effect]:
        self._enter(Phase.STARTING, now)
        self.untouched = True
        return [Effect.SPAWN]

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self._since = now
        self._heard = now
        if phase is Phase.STARTING:
            self.killed = False
            self._floor = 0
        if phase is Phase.SERVING:
            self._serving_since = now
        elif phase is not Phase.DRAINING:
            self._serving_since = None
        self._schedule()

    def _schedule(self) -> None:
        terms = self.terms
        waits = {
            Phase.STARTING: self._since + terms.start_timeout,
            Phase.SERVING: self._heard + terms.hang_after,
            Phase.DRAINING: self._since + terms.drain_timeout,
        }
        self._wake = waits.get(self.phase)

    def __repr__(self) -> str:
        return f"<Life {self.phase.value}, {self.restarts} restarts, {self.crashes} crashes in a row>"
