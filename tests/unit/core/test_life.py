"""A process is started once at a time, killed when it hangs, restarted ever more slowly, and ends when told to."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kapelle.core.life import Effect, Life, Phase, Terms

LIMIT = 100 << 20
TERMS = Terms(
    start_timeout=20.0,
    hang_after=5.0,
    drain_timeout=8.0,
    first_backoff=0.5,
    longest_backoff=10.0,
    stable_after=30.0,
    crash_loop=3,
    memory_limit=LIMIT,
)


class LifeMachine(RuleBasedStateMachine):
    """A shell that does what it is told, and a process that may do anything."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(TERMS)
        self.now = 1000.0
        self.alive = False
        self.killed = False
        self.told_usable = False
        self.draining = False
        self.draining_by_itself = False
        self.replaced = False
        self.alarms = 0
        self.backoffs: list[float] = []
        self.serving_since: float | None = None
        self.heard_at = self.now

    @initialize(adopted=st.booleans(), ready=st.booleans())
    def begin(self, adopted: bool, ready: bool) -> None:
        if adopted:
            self.alive = True
            self.apply(self.life.adopt(self.now, ready=ready))
        else:
            self.apply(self.life.start(self.now))

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Effect.SPAWN:
                    assert not self.alive, "never two at once"
                    assert not self.draining, "never again after it was asked to end"
                    assert not self.replaced, "never again after another took its place"
                    self.alive, self.killed, self.draining_by_itself = True, False, False
                case Effect.KILL:
                    assert self.alive
                    self.killed = True
                case Effect.DRAIN:
                    assert self.alive
                    assert self.draining
                case Effect.ANNOUNCE:
                    self.told_usable = self.life.usable
                case Effect.REPLACE:
                    assert not self.replaced, "one successor is enough"
                    self.replaced = True
                case Effect.ALARM:
                    pass
        if self.life.usable and self.serving_since is None:
            self.serving_since = self.now

    @precondition(lambda self: self.alive)
    @rule(state=st.sampled_from(["starting", "waiting", "ready", "stuck", "draining"]))
    def report(self, state: str) -> None:
        self.heard_at = self.now
        self.apply(self.life.heard(state, "a call runs on and on", self.now))
        if state in ("stuck", "draining"):
            assert not self.life.usable
        if state == "draining" and not self.killed:
            self.draining_by_itself = True
        elif self.life.usable:
            self.forget_old_crashes()

    @precondition(lambda self: self.life.usable)
    @rule(share=st.sampled_from([0.5, 1.5]))
    def weigh_at_the_beginning(self, share: float) -> None:
        effects = self.life.begins_with(int(share * LIMIT))
        assert effects == ([Effect.ALARM] if share > 1 else [])

    @precondition(lambda self: self.alive)
    @rule(share=st.sampled_from([0.5, 1.5, 2.5]))
    def grow(self, share: float) -> None:
        self.apply(self.life.memory(int(share * LIMIT), self.now))
        if share > 2:
            assert not self.life.usable

    @precondition(lambda self: self.alive)
    @rule()
    def exit(self) -> None:
        self.alive = False
        effects = self.life.exited("exit status 1", self.now)
        self.apply(effects)
        if self.draining or self.replaced:
            assert self.life.phase is Phase.ENDED
            return
        assert self.life.wake is not None
        if self.draining_by_itself and not self.killed:
            assert self.life.wake == self.now, "somebody else asked it to end: no crash"
        else:
            self.forget_old_crashes()
            self.backoffs.append(self.life.wake - self.now)
            self.alarms += effects.count(Effect.ALARM)
            assert self.alarms == (1 if len(self.backoffs) >= TERMS.crash_loop else 0), "once per crash loop"
        self.serving_since = None

    @rule(span=st.sampled_from([0.1, 1.0, 4.0, 6.0, 12.0, 40.0]))
    def pass_time(self, span: float) -> None:
        self.now += span
        self.tick()

    @rule()
    def wake_up(self) -> None:
        if self.life.wake is not None:
            self.now = max(self.now, self.life.wake)
            self.tick()

    def tick(self) -> None:
        silent = self.now - max(self.heard_at, self.serving_since or 0.0)
        hangs = self.life.usable and silent >= TERMS.hang_after
        overdue = self.life.wake is not None and self.now >= self.life.wake
        waiting = self.life.phase is Phase.WAITING
        self.apply(self.life.tick(self.now))
        if hangs:
            assert self.killed, "a process that says nothing is killed"
            assert not self.life.usable
        if overdue and waiting:
            assert self.alive, "a process that ended is started again when its time has come"

    @rule()
    def drain(self) -> None:
        self.draining = True
        self.apply(self.life.drain(self.now))
        assert not self.life.usable

    def forget_old_crashes(self) -> None:
        if self.serving_since is not None and self.now - self.serving_since >= TERMS.stable_after:
            self.backoffs, self.alarms = [], 0

    @invariant()
    def gateways_know_what_is_so(self) -> None:
        assert self.told_usable is self.life.usable
        assert self.alive or not self.life.usable

    @invariant()
    def backoff_doubles_up_to_its_bound(self) -> None:
        expected = [min(TERMS.longest_backoff, TERMS.first_backoff * 2**number) for number in range(len(self.backoffs))]
        assert self.backoffs == pytest.approx(expected)

    @invariant()
    def it_wakes_up_by_itself_until_it_has_ended(self) -> None:
        if self.life.phase is Phase.ENDED:
            assert not self.alive
            assert self.life.wake is None
        else:
            assert self.life.wake is not None

    def teardown(self) -> None:
        """Whatever happened: asked to end, and killed at the latest when it is told so, it ends."""
        self.drain()
        for _ in range(3):
            if self.alive:
                self.wake_up()
                if self.killed:
                    self.exit()
        assert self.life.phase is Phase.ENDED


TestLifeMachine = LifeMachine.TestCase
TestLifeMachine.settings = settings(max_examples=150, stateful_step_count=40)


def started(now: float = 0.0) -> Life:
    life = Life(TERMS)
    assert life.start(now) == [Effect.SPAWN]
    return life


def serving(now: float = 0.0) -> Life:
    life = started(now)
    assert life.heard("ready", "", now) == [Effect.ANNOUNCE]
    return life


def crash(life: Life, times: int) -> list[list[Effect]]:
    """Crash at once after each start."""
    effects = []
    for _ in range(times):
        now = life.wake or 0.0
        if life.phase is Phase.WAITING:
            life.tick(now)
        effects.append(life.exited("exit status 1", now))
    return effects


def test_it_is_usable_from_ready_to_drain() -> None:
    life = started()
    assert (life.phase, life.usable) == (Phase.STARTING, False)
    assert life.heard("ready", "", 3.0) == [Effect.ANNOUNCE]
    assert (life.phase, life.usable) == (Phase.SERVING, True)
    assert life.drain(4.0) == [Effect.ANNOUNCE, Effect.DRAIN]
    assert life.exited("exit status 0", 5.0) == [Effect.ANNOUNCE]
    assert (life.phase, life.wake) == (Phase.ENDED, None)


def test_it_is_started_again_after_a_crash() -> None:
    life = serving()
    assert life.exited("killed by signal 9", 2.0) == [Effect.ANNOUNCE]
    assert life.reason == "killed by signal 9"
    assert life.tick(2.4) == []
    assert life.tick(2.5) == [Effect.SPAWN]
    assert life.restarts == 1


def test_silence_is_a_hang() -> None:
    life = serving()
    assert life.heard("ready", "", 4.0) == []
    assert life.wake == 9.0
    assert life.tick(9.0) == [Effect.ANNOUNCE, Effect.KILL]
    assert life.phase is Phase.STUCK
    assert life.exited("killed by signal 9", 9.1) == [Effect.ANNOUNCE]
    assert life.reason == "silent for 5 s (killed by signal 9)"


def test_a_kill_without_an_exit_is_repeated_and_nothing_said_in_between_counts() -> None:
    life = serving()
    assert life.heard("stuck", "a call runs on", 1.0) == [Effect.ANNOUNCE, Effect.KILL]
    assert life.heard("ready", "", 2.0) == []
    assert not life.usable
    assert life.tick(5.9) == []
    assert life.tick(6.0) == [Effect.KILL]
    assert life.tick(11.0) == [Effect.KILL]
    assert life.reason == "a call runs on"


def test_a_start_that_takes_too_long_is_ended() -> None:
    life = started()
    assert life.heard("starting", "", 19.0) == []
    assert life.tick(20.0) == [Effect.KILL]
    assert life.reason == "not ready after 20 s"
    assert life.heard("ready", "", 20.1) == [], "too late: the kill is on its way"
    assert life.exited("killed by signal 9", 20.2) == [Effect.ANNOUNCE]


def test_a_drain_that_takes_too_long_is_ended() -> None:
    life = serving()
    life.drain(1.0)
    assert life.drain(2.0) == []
    assert life.heard("draining", "", 8.0) == []
    assert life.tick(9.0) == [Effect.KILL]
    assert life.reason == "still busy 8 s after it was asked to drain"
    assert life.exited("killed by signal 9", 9.1) == [Effect.ANNOUNCE]
    assert life.phase is Phase.ENDED


def test_a_drain_during_the_backoff_ends_it_at_once() -> None:
    life = started()
    life.exited("exit status 1", 1.0)
    assert life.drain(1.1) == []
    assert life.phase is Phase.ENDED
    assert life.tick(100.0) == []


def test_a_crash_loop_alarms_once_until_it_was_stable_again() -> None:
    life = started()
    alarms = [Effect.ALARM in effects for effects in crash(life, 6)]
    assert alarms == [False, False, True, False, False, False]
    now = life.wake or 0.0
    life.tick(now)
    life.heard("ready", "", now)
    assert (life.crashes, life.crash_looping) == (6, True)
    life.heard("ready", "", now + TERMS.stable_after)
    assert (life.crashes, life.crash_looping) == (0, False)
    life.exited("exit status 1", now + TERMS.stable_after)
    assert [Effect.ALARM in effects for effects in crash(life, 3)] == [False, True, False]


def test_a_hang_after_a_long_time_in_service_is_no_crash_loop() -> None:
    life = serving()
    now = 0.0
    for _ in range(TERMS.crash_loop + 2):
        now += TERMS.stable_after
        life.heard("ready", "", now)
        life.tick(now + TERMS.hang_after)
        assert Effect.ALARM not in life.exited("killed by signal 9", now + TERMS.hang_after)
        now = life.wake or 0.0
        life.tick(now)
        life.heard("ready", "", now)
    assert life.crashes == 1


def test_the_backoff_stays_bounded_in_a_crash_loop_of_days() -> None:
    life = started()
    crash(life, 5000)
    before = life.wake or 0.0
    life.tick(before)
    life.exited("exit status 1", before)
    assert life.wake == before + TERMS.longest_backoff


def test_memory_beyond_the_limit_has_it_replaced_once() -> None:
    life = serving()
    assert life.memory(LIMIT, 1.0) == []
    assert life.memory(LIMIT + (1 << 20), 1.0) == [Effect.REPLACE]
    assert life.reason == "memory 101 MiB, limit 100 MiB"
    assert life.memory(LIMIT + (2 << 20), 2.0) == []
    assert life.usable, "it serves until its successor does"


def test_memory_far_beyond_the_limit_has_it_killed() -> None:
    life = serving()
    assert life.memory(2 * LIMIT + (1 << 20), 1.0) == [Effect.ANNOUNCE, Effect.KILL]
    assert life.reason == "memory 201 MiB, more than twice the limit of 100 MiB"
    assert life.memory(3 * LIMIT, 1.5) == []


def test_without_a_limit_memory_does_not_matter() -> None:
    life = Life(Terms())
    life.start(0.0)
    life.heard("ready", "", 0.0)
    assert life.memory(1 << 50, 1.0) == []


def test_one_whose_successor_runs_is_not_started_again() -> None:
    life = serving()
    life.memory(LIMIT + 1, 1.0)
    assert life.exited("killed by signal 9", 2.0) == [Effect.ANNOUNCE]
    assert life.phase is Phase.ENDED


def test_one_that_gives_way_is_not_started_again() -> None:
    life = serving()
    life.give_way()
    life.exited("exit status 0", 2.0)
    assert (life.phase, life.wake) == (Phase.ENDED, None)


def test_a_limit_below_what_it_begins_with_is_an_alarm_and_no_reason_to_replace_it() -> None:
    life = serving()
    assert life.begins_with(LIMIT) == []
    assert life.begins_with(LIMIT + (1 << 20)) == [Effect.ALARM]
    assert life.reason == "it begins with 101 MiB, more than its limit of 100 MiB"
    assert life.memory(LIMIT + (2 << 20), 1.0) == []
    assert life.memory(2 * LIMIT + 1, 1.0) == [Effect.ANNOUNCE, Effect.KILL]


@pytest.mark.parametrize("ready", [True, False])
def test_one_that_runs_already_is_adopted_without_a_start(ready: bool) -> None:
    life = Life(TERMS)
    assert life.adopt(0.0, ready=ready) == ([Effect.ANNOUNCE] if ready else [])
    assert life.usable is ready
    assert life.heard("ready", "", 0.1) == ([] if ready else [Effect.ANNOUNCE])
    assert life.usable


def test_one_that_others_asked_to_end_has_its_place_taken_at_once_and_did_not_crash() -> None:
    life = serving()
    assert life.heard("draining", "", 1.0) == [Effect.ANNOUNCE]
    assert not life.usable
    assert life.exited("exit status 0", 2.0) == [Effect.ANNOUNCE]
    assert life.reason == "asked to end by somebody else (exit status 0)"
    assert life.tick(2.0) == [Effect.SPAWN]
    assert life.crashes == 0


def test_one_that_was_never_given_work_is_not_asked_to_finish_it() -> None:
    life = started()
    assert life.drain(1.0) == [Effect.KILL]
    assert life.exited("killed by signal 9", 1.1) == [Effect.ANNOUNCE]
    assert life.phase is Phase.ENDED


def test_the_time_it_waits_for_others_is_not_held_against_it() -> None:
    life = started()
    assert life.heard("waiting", "", 15.0) == []
    assert life.tick(20.0) == []
    assert life.tick(35.0) == [Effect.KILL]


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.ENDED])
def test_late_news_of_a_process_that_is_gone_change_nothing(phase: Phase) -> None:
    life = serving()
    if phase is Phase.ENDED:
        life.drain(0.5)
    life.exited("exit status 0", 1.0)
    wake = life.wake
    assert life.heard("ready", "", 1.1) == []
    assert life.exited("exit status 0", 1.1) == []
    assert (life.phase, life.wake) == (phase, wake)


def test_repr_says_where_it_is() -> None:
    life = serving()
    life.exited("exit status 1", 1.0)
    assert repr(life) == "<Life waiting, 0 restarts, 1 crashes in a row>"
