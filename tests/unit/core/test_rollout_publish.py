"""How a publish takes new entries of the pointer's log, at each of its stages."""

from __future__ import annotations

import pytest

from kapelle.core.rollout_messages import Outcome, Pointer, Terms
from kapelle.core.rollout_publish import Publish, Stage

ME = "me"
CLAIMED = Pointer(2, "r1", author=ME)
COMMITTED = Pointer(3, "r2", "r1", 10.0, ME)


def publish(*entries: Pointer) -> Publish:
    job = Publish("r2", Pointer(1, "r1", author="before"), ME, Terms(), now=0.0)
    for entry in entries:
        job.moved(entry, "", 0.0)
    return job


def test_its_claim_lets_it_prepare() -> None:
    job = publish(CLAIMED)
    assert job.stage is Stage.PREPARE
    assert job.epoch == 2


def test_an_old_entry_says_nothing() -> None:
    job = publish(CLAIMED, Pointer(1, "r1", author="before"), CLAIMED)
    assert job.stage is Stage.PREPARE


def test_its_release_in_the_log_puts_it_on_trial() -> None:
    assert publish(CLAIMED, COMMITTED).stage is Stage.TRIAL


@pytest.mark.parametrize(
    "entries", [[Pointer(2, "r1", author="another")], [CLAIMED, Pointer(3, "r1", author="another")]]
)
def test_another_controllers_entry_ends_it(entries: list[Pointer]) -> None:
    job = publish(*entries)
    assert job.ended is not None
    assert job.ended.outcome is Outcome.REFUSED
    assert "another controller took over" in job.ended.reason


def test_a_claim_of_another_does_not_end_a_trial() -> None:
    job = publish(CLAIMED, COMMITTED, Pointer(4, "r2", "r1", 10.0, "another"))
    assert job.stage is Stage.TRIAL


def test_a_step_back_of_another_ends_a_trial() -> None:
    job = publish(CLAIMED, COMMITTED, Pointer(4, "r1", author="another"))
    assert job.ended is not None
    assert job.ended.outcome is Outcome.ROLLED_BACK
    assert job.ended.reason == "another controller moved the pointer to r1"


def test_golden_answers_count_only_when_they_were_asked_for() -> None:
    job = publish(CLAIMED)
    job.golden("late and of another time", now=1.0)
    job.golden(None, now=1.0)
    assert job.stage is Stage.PREPARE


def test_what_is_refused_before_the_move_ends_at_once() -> None:
    job = publish(CLAIMED)
    job.refuse("no")
    assert job.ended is not None
    assert job.ended.reason == "no"


def test_what_is_refused_after_the_move_was_asked_for_waits_for_the_log() -> None:
    job = publish(CLAIMED)
    job.stage = Stage.COMMIT
    job.refuse("no")
    assert job.withdrawn == "no"
    job.moved(Pointer(3, "r1", author=ME), "", 0.0)
    assert job.ended is not None
    assert job.ended.reason == "no"
