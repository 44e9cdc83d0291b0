"""What the machine takes and gives is data: comparable, hashable where it is kept, and sensible by default."""

from __future__ import annotations

import pytest

from kapelle.core.rollout_messages import MovePointer, Outcome, Pointer, Process, Report, Route, Stamp, Terms


def test_stamps_are_ordered_by_epoch_first() -> None:
    assert Stamp(2, 1) > Stamp(1, 99)
    assert Stamp(2, 2) > Stamp(2, 1)


def test_effects_are_equal_when_they_say_the_same() -> None:
    process = Process("gateway-0", "gateway", "", "here", 1)
    assert Route(process, "r1", Stamp(1, 1)) == Route(process, "r1", Stamp(1, 1))
    assert MovePointer(Pointer(2, "r2"), "x") != MovePointer(Pointer(2, "r1"), "x")


def test_a_process_that_just_started_has_a_short_report() -> None:
    report = Report(Process("gateway-0", "gateway", "", "here", 1), 1)
    assert (report.epoch, report.holds, report.routed, report.busy) == (0, {}, None, {})


def test_outcomes_read_as_words() -> None:
    assert f"{Outcome.ROLLED_BACK}" == "rolled back"


@pytest.mark.parametrize("name", Terms.__dataclass_fields__)
def test_all_terms_are_positive(name: str) -> None:
    assert getattr(Terms(), name) > 0


def test_an_old_instance_outlives_every_order_on_its_way() -> None:
    assert Terms().linger >= Terms().claim_after
