"""What people may want of a controller; the bytes are in test_messages."""

from __future__ import annotations

from typing import get_args

from kapelle.wire import messages, wishes


def test_a_release_is_published_to_all_requests_unless_a_share_is_named() -> None:
    assert wishes.Publish("r8") == wishes.Publish("r8", 0.0, False)


def test_wishes_are_heard_by_the_controller_alone() -> None:
    assert set(get_args(wishes.Wish)) <= set(get_args(wishes.ToController))
    assert not set(get_args(wishes.Wish)) & set(get_args(messages.ToProcess))
