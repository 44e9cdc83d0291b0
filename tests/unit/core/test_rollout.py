"""A release gets traffic when it is ready everywhere, or never; everybody ends on the one the pointer names."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kapelle.core.rollout_messages import (
    Effect,
    MovePointer,
    Outcome,
    Pointer,
    Prepare,
    Process,
    Retire,
    Route,
    StopWatching,
    Watch,
)
from tests.unit.core.rollout_stage import SERVICES, TERMS, Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.settle()
    stage.said.clear()
    return stage


def publish(stage: Stage, release: str) -> None:
    stage.play(stage.rollout.publish(release, stage.now))


def everywhere(*releases: str) -> dict[str, list[str]]:
    return {name: list(releases) for name in SERVICES}


def test_empty_processes_are_brought_to_the_current_release(stage: Stage) -> None:
    assert stage.held() == everywhere("r1")
    assert stage.players["gateway"].routed == (2, "r1")
    assert stage.players["cluster-0"].holds["r1"] == {0, 1}


def test_a_publish_prepares_commits_watches_and_retires(stage: Stage) -> None:
    publish(stage, "r2")
    assert stage.log[-1].release == "r2"
    assert stage.log[-1].previous == "r1"
    assert stage.players["gateway"].routed == (stage.log[-1].epoch, "r2")
    assert Watch("r1", "r2") in stage.said
    assert stage.held() == everywhere("r1", "r2"), "the old release is there to go back to"
    assert not stage.ended
    stage.wait(TERMS.bake)
    assert [ended.outcome for ended in stage.ended] == [Outcome.COMMITTED]
    assert StopWatching() in stage.said
    assert stage.held() == everywhere("r2")


def test_gateways_drop_the_old_release_before_replicas_do(stage: Stage) -> None:
    publish(stage, "r2")
    stage.wait(TERMS.bake)
    dropped = [effect.process.role for effect in stage.said if isinstance(effect, Retire)]
    assert dropped == ["gateway", "replica", "replica", "replica"]


def test_a_request_on_the_old_release_keeps_it_everywhere(stage: Stage) -> None:
    stage.players["gateway"].busy["r1"] = 1
    publish(stage, "r2")
    stage.wait(TERMS.bake + 300)
    assert stage.held() == everywhere("r1", "r2")
    stage.players["gateway"].busy.clear()
    stage.tell("gateway")
    stage.wait(1)
    assert stage.held() == everywhere("r2")


def test_the_current_release_is_not_published_again(stage: Stage) -> None:
    entries = len(stage.log)
    publish(stage, "r1")
    assert [ended.outcome for ended in stage.ended] == [Outcome.UNCHANGED]
    assert len(stage.log) == entries


def test_a_second_publish_is_denied_while_one_runs(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    publish(stage, "r3")
    stage.restart("encoder")
    stage.wait(3)
    publish(stage, "r3")
    assert stage.denied == [
        "r2 is being published (prepare); wait, or cancel it",
        "r2 is on trial; wait until that is over, or roll back",
    ]
    stage.wait(TERMS.bake)
    publish(stage, "r3")
    assert stage.log[-1].release == "r3"


def test_the_same_publish_once_more_is_that_publish(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    publish(stage, "r2")
    stage.restart("encoder")
    stage.wait(3)
    publish(stage, "r2")
    entries = len(stage.log)
    stage.wait(TERMS.bake)
    assert [(ended.release, ended.outcome) for ended in stage.ended] == [("r2", Outcome.COMMITTED)]
    assert not stage.denied
    assert len(stage.log) == entries


@pytest.mark.parametrize(("is_worse", "outcome"), [(False, Outcome.COMMITTED), (True, Outcome.ROLLED_BACK)])
def test_a_publish_whose_controller_died_in_the_trial_can_be_repeated(
    stage: Stage, is_worse: bool, outcome: Outcome
) -> None:
    publish(stage, "r2")
    stage.new_rollout("second")
    stage.settle()
    publish(stage, "r2")
    if is_worse:
        stage.play(stage.rollout.breach("5 of 9 requests failed", stage.now))
    stage.wait(TERMS.bake)
    assert [(ended.release, ended.outcome) for ended in stage.ended] == [("r2", outcome)]
    assert not stage.denied


def test_a_trial_does_not_go_on_when_the_clock_was_set_back_before_this_controller_began() -> None:
    stage = Stage([Pointer(2, "r2", "r1", 1000.0 + 3600, "somebody before")])
    stage.settle()
    assert stage.held() == everywhere("r2")
    publish(stage, "r3")
    assert stage.log[-1].release == "r3"


@pytest.mark.parametrize("name", ["cluster-1", "encoder", "gateway"])
def test_a_load_failure_on_one_living_process_refuses_the_release(stage: Stage, name: str) -> None:
    stage.players[name].broken.add("r2")
    publish(stage, "r2")
    assert [(ended.outcome, ended.reason) for ended in stage.ended] == [
        (Outcome.REFUSED, f"{name} could not load it: dimension 3, expected 4")
    ]
    stage.wait(1)
    assert stage.held() == everywhere("r1"), "what was prepared is dropped"
    stage.players[name].broken.clear()
    publish(stage, "r2")
    assert stage.log[-1].release == "r2", "an earlier failure blocks nothing"


def test_a_failed_golden_query_refuses_the_release(stage: Stage) -> None:
    stage.golden_failure = "nearest('tea') is 'coffee', expected 'tea'"
    publish(stage, "r2")
    assert stage.ended[0].reason == "golden query: nearest('tea') is 'coffee', expected 'tea'"
    assert {entry.release for entry in stage.log} == {"r1"}


def test_an_answer_to_an_earlier_attempt_is_not_taken_for_this_one(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    job = stage.rollout.job
    assert job is not None
    stage.play(stage.rollout.golden(job.epoch - 1, "r2", "broken", stage.now))
    assert not stage.ended


def test_two_deaths_while_a_release_is_built_refuse_it_and_never_take_both_copies(stage: Stage) -> None:
    stage.deadly.add("r2")
    publish(stage, "r2")
    died = {name for name in ("cluster-0", "cluster-1", "encoder") if name in stage.dead}
    assert died == {"cluster-0", "encoder"}, "of two copies one is risked, and a service of one replica has no choice"
    assert stage.ended[0].reason == "2 processes died while they built it: cluster-0, encoder"


def test_one_that_has_to_be_replaced_while_it_builds_counts_as_dead(stage: Stage) -> None:
    stage.slow.add("r2")
    publish(stage, "r2")
    for _ in range(2):
        assert not stage.ended
        stage.restart("encoder")
        stage.wait(3)
    assert stage.ended[0].reason == "2 processes died while they built it: encoder, encoder"


def test_a_copy_whose_other_copy_is_away_is_not_risked(stage: Stage) -> None:
    stage.kill("cluster-1")
    publish(stage, "r2")
    assert "r2" not in stage.players["cluster-0"].holds
    stage.restart("cluster-1")
    stage.wait(TERMS.repeat)
    assert stage.log[-1].release == "r2"


def test_a_dead_replica_holds_a_publish_up_until_its_shards_are_given_to_others(stage: Stage) -> None:
    stage.kill("cluster-1")
    publish(stage, "r2")
    stage.wait(TERMS.reassign_after - 1)
    assert stage.log[-1].release == "r1"
    stage.wait(2)
    assert stage.log[-1].release == "r2"


def test_a_service_without_any_replica_refuses_the_release_in_the_end(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    stage.wait(TERMS.prepare_timeout)
    assert stage.ended[0].outcome is Outcome.REFUSED
    assert stage.ended[0].reason == "after 100 s it still waits for a replica of encoder, gateway"


def test_a_gateway_that_was_not_heard_of_keeps_a_release_from_being_committed(stage: Stage) -> None:
    stage.play(stage.rollout.started(Process("another", "gateway", "", "elsewhere", 1), stage.now))
    publish(stage, "r2")
    assert stage.log[-1].release == "r1"
    stage.play(stage.rollout.gone("another", 1, stage.now))
    assert stage.log[-1].release == "r2"


def test_a_breach_moves_traffic_back_at_once(stage: Stage) -> None:
    publish(stage, "r2")
    stage.play(stage.rollout.breach("3 % errors, 0.1 % before", stage.now))
    assert (stage.log[-1].release, stage.log[-1].previous, stage.log[-1].baking_since) == ("r1", None, None)
    assert stage.players["gateway"].routed == (stage.log[-1].epoch, "r1")
    assert [(ended.outcome, ended.reason) for ended in stage.ended] == [
        (Outcome.ROLLED_BACK, "3 % errors, 0.1 % before")
    ]
    assert "r2" in stage.held()["cluster-0"], "for a moment somebody may still send requests there"
    stage.wait(TERMS.linger)
    assert stage.held() == everywhere("r1")


def test_nobody_goes_back_to_a_release_that_is_not_whole(stage: Stage) -> None:
    publish(stage, "r2")
    stage.kill("encoder")
    stage.play(stage.rollout.breach("worse", stage.now))
    assert stage.log[-1].release == "r2"
    stage.restart("encoder")
    assert stage.log[-1].release == "r1"


def test_a_breach_after_the_trial_changes_nothing(stage: Stage) -> None:
    publish(stage, "r2")
    stage.wait(TERMS.bake)
    stage.play(stage.rollout.breach("worse", stage.now))
    assert stage.log[-1].release == "r2"


def test_a_rollback_after_the_trial_publishes_the_previous_release(stage: Stage) -> None:
    publish(stage, "r2")
    stage.wait(TERMS.bake)
    stage.play(stage.rollout.rollback(stage.now))
    assert (stage.log[-1].release, stage.log[-1].previous) == ("r1", "r2")
    stage.wait(TERMS.bake)
    assert stage.held() == everywhere("r1")


def test_there_is_nothing_to_go_back_to(stage: Stage) -> None:
    stage.play(stage.rollout.rollback(stage.now))
    assert stage.denied == ["no release before r1 is known; publish one by its name"]


def test_where_no_release_ever_was_there_is_nothing_to_go_back_to_either() -> None:
    stage = Stage([Pointer(1, None)])
    stage.settle()
    stage.play(stage.rollout.rollback(stage.now))
    assert stage.denied == ["no release before the first is known; publish one by its name"]


def test_a_cancelled_publish_leaves_no_trace(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    stage.play(stage.rollout.cancel(stage.now))
    stage.restart("encoder")
    stage.wait(TERMS.linger)
    assert [ended.reason for ended in stage.ended] == ["cancelled"]
    assert stage.held() == everywhere("r1")


def test_what_cannot_be_cancelled(stage: Stage) -> None:
    stage.play(stage.rollout.cancel(stage.now))
    publish(stage, "r2")
    stage.play(stage.rollout.cancel(stage.now))
    assert stage.denied == ["nothing is being published", "r2 is committed; roll back instead"]


def test_a_cancel_while_the_move_is_out_is_decided_by_the_log(stage: Stage) -> None:
    moves: list[MovePointer] = []
    held_back = stage.carry_out

    def hold_moves_back(effect: Effect) -> list[Effect]:
        if isinstance(effect, MovePointer) and stage.log[-1].author == "first" and stage.log[-1].epoch == 3:
            moves.append(effect)
            return []
        return held_back(effect)

    stage.carry_out = hold_moves_back  # type: ignore[method-assign]  # this stage delivers no move
    publish(stage, "r2")
    stage.play(stage.rollout.cancel(stage.now))
    assert [move.entry.release for move in moves] == ["r2", "r1"]
    assert moves[0].entry.epoch == moves[1].entry.epoch, "one of the two wins"
    assert not stage.ended, "nobody knows yet which"
    stage.log.append(moves[1].entry)
    stage.play(stage.rollout.read(stage.log[-1], stage.now))
    assert [ended.reason for ended in stage.ended] == ["cancelled"]


def test_a_new_controller_goes_on_with_a_trial(stage: Stage) -> None:
    publish(stage, "r2")
    stage.new_rollout("second")
    stage.said.clear()
    stage.settle()
    assert Watch("r1", "r2") in stage.said
    assert stage.log[-1].author == "second"
    stage.wait(TERMS.bake)
    assert stage.held() == everywhere("r2")


def test_a_new_controller_drops_what_was_being_prepared(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    assert "r2" in stage.held()["cluster-0"]
    stage.new_rollout("second")
    stage.restart("encoder")
    stage.settle()
    stage.wait(TERMS.linger)
    assert stage.held() == everywhere("r1")


def test_a_new_controller_with_nothing_to_do_leaves_the_log_alone(stage: Stage) -> None:
    entries = len(stage.log)
    stage.new_rollout("second")
    stage.settle()
    assert len(stage.log) == entries


def test_the_controller_that_is_overtaken_steps_back(stage: Stage) -> None:
    stage.kill("encoder")
    publish(stage, "r2")
    stage.log.append(Pointer(stage.log[-1].epoch + 1, "r1", author="another"))
    stage.play(stage.rollout.read(stage.log[-1], stage.now))
    assert [ended.reason for ended in stage.ended] == ["another controller took over with entry 4 of the pointer"]
    stage.said.clear()
    stage.restart("encoder")
    stage.wait(TERMS.step_back - 1)
    assert not stage.said, "no order in the other's epoch"
    stage.wait(2)
    assert stage.log[-1].author == "first", "the other does nothing, and there is something to do"


def test_the_first_release_of_all() -> None:
    stage = Stage(log=[Pointer(0, None)])
    stage.settle()
    publish(stage, "r1")
    assert [entry.release for entry in stage.log] == [None, None, "r1"]
    assert [ended.outcome for ended in stage.ended] == [Outcome.COMMITTED]
    assert stage.held() == everywhere("r1")


def test_an_order_is_not_given_twice_without_need(stage: Stage) -> None:
    stage.kill("cluster-1")
    replica = stage.new_player("cluster-1", 2)
    effects = stage.rollout.report(replica.report(), stage.now)
    assert [type(effect) for effect in effects] == [Prepare]
    assert stage.rollout.tick(stage.now + TERMS.repeat - 1) == []
    assert [type(effect) for effect in stage.rollout.tick(stage.now + TERMS.repeat)] == [Prepare]


def test_a_wish_before_the_pointer_is_known_is_denied() -> None:
    stage = Stage()
    publish(stage, "r2")
    assert stage.denied == ["the pointer has not been read yet; see that the store can be reached"]


class RolloutMachine(RuleBasedStateMachine):
    """Effects wait in a queue; what happens to them, and in which order, is up to Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.queue: list[Effect] = []
        self.dead: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.stage.settle()

    def take(self, effects: list[Effect]) -> None:
        self.stage.said += effects
        self.queue += effects

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 30), again=st.booleans())
    def deliver(self, index: int, again: bool) -> None:
        effect = self.queue[index % len(self.queue)]
        if not again:
            self.queue.remove(effect)
        if isinstance(effect, Prepare | Retire | Route):
            if effect.process.name in self.dead:
                return
            self.check_order(effect)
        if isinstance(effect, MovePointer):
            self.check_move(effect)
        self.take(self.stage.carry_out(effect))

    def check_order(self, order: Effect) -> None:
        """The only order that takes something away never meets a gateway that needs it."""
        if isinstance(order, Retire):
            player = self.stage.players[order.process.name]
            if player.process == order.process and order.stamp.epoch >= player.fence.epoch:
                in_order = order.stamp.number >= player.fence.heard.get(order.release, 0)
                assert not in_order or player.routed is None or player.routed[1] != order.release

    def check_move(self, move: MovePointer) -> None:
        entry, head = move.entry, self.stage.log[-1]
        if entry.epoch != head.epoch + 1 or entry.release == head.release or self.dead:
            return
        for name, player in self.stage.players.items():
            assert entry.release in player.holds or player.process.incarnation > 1, f"{name} lacks {entry.release}"

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 30))
    def lose(self, index: int) -> None:
        del self.queue[index % len(self.queue)]

    @rule(name=st.sampled_from(sorted(SERVICES)))
    def kill(self, name: str) -> None:
        if name not in self.dead:
            self.dead.add(name)
            process = self.stage.players[name].process
            self.take(self.stage.rollout.gone(name, process.incarnation, self.stage.now))

    @precondition(lambda self: self.dead)
    @rule()
    def restart(self) -> None:
        name = min(self.dead)
        self.dead.remove(name)
        stage = self.stage
        stage.players[name] = stage.new_player(name, stage.players[name].process.incarnation + 1)
        self.take(stage.rollout.report(stage.players[name].report(), stage.now))

    @rule(release=st.sampled_from(["r1", "r2", "r3"]))
    def publish(self, release: str) -> None:
        self.take(self.stage.rollout.publish(release, self.stage.now))

    @rule()
    def roll_back(self) -> None:
        self.take(self.stage.rollout.rollback(self.stage.now))

    @rule()
    def cancel(self) -> None:
        self.take(self.stage.rollout.cancel(self.stage.now))

    @rule()
    def breach(self) -> None:
        self.take(self.stage.rollout.breach("worse", self.stage.now))

    @rule(broken=st.sampled_from(["r2", "r3"]), name=st.sampled_from(sorted(SERVICES)))
    def break_a_release(self, broken: str, name: str) -> None:
        self.stage.players[name].broken = {broken}

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.stage.now += seconds
        self.take(self.stage.rollout.tick(self.stage.now))

    @rule()
    def another_controller_takes_over(self) -> None:
        head = self.stage.log[-1]
        entry = Pointer(head.epoch + 1, head.release, head.previous, head.baking_since, "another")
        self.stage.log.append(entry)
        self.take(self.stage.rollout.read(entry, self.stage.now))

    @invariant()
    def orders_are_given_in_its_own_epochs_alone(self) -> None:
        authors = {entry.epoch: entry.author for entry in self.stage.log}
        for effect in self.queue:
            if isinstance(effect, Prepare | Retire | Route):
                assert authors[effect.stamp.epoch] == "first"

    @invariant()
    def whoever_is_routed_holds_the_release(self) -> None:
        gateway = self.stage.players["gateway"]
        assert gateway.routed is None or gateway.routed[1] in gateway.holds

    def teardown(self) -> None:
        """Once nothing goes wrong any more, all is as the pointer says."""
        stage = self.stage
        for name in sorted(self.dead):
            stage.restart(name)
        for player in stage.players.values():
            player.broken.clear()
        for name in stage.players:
            stage.tell(name)
        stage.wait(400)
        release = stage.log[-1].release
        assert release is not None
        assert stage.held() == everywhere(release)
        routed = stage.players["gateway"].routed
        assert routed is not None
        assert routed[1] == release
        assert stage.rollout.job is None


TestRolloutMachine = RolloutMachine.TestCase
TestRolloutMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
