"""Octets: which declared types may have theirs taken out of a message, and how they are read on the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

import msgspec
import numpy as np
import pytest

from kapelle.types.octets import OCTETS, StandIn, as_octets, is_octets, received_as, taker


@dataclass
class Page:
    scan: bytes


OTHERS = (
    int, str, Any, Page, list, list[int], tuple, tuple[()], tuple[int, ...], tuple[str, int], dict[str, bytes], bytes | None,
    Annotated[bytes, msgspec.Meta(max_length=4)],
)  # fmt: skip


def counted(value: bytes | bytearray | memoryview) -> int:
    return len(value)


@pytest.mark.parametrize("kind", OCTETS)
def test_octets_are_received_as_a_type_of_ours_which_they_are_instances_of(kind: Any) -> None:
    stand_in = received_as(kind)
    assert type(stand_in) is StandIn
    assert get_args(received_as(list[kind])) == (stand_in,)
    count, several = get_args(received_as(tuple[int, tuple[kind, ...]]))
    assert (count, get_args(several)) == (int, (stand_in, ...))
    for one in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert isinstance(one, stand_in) == isinstance(one, kind)
    assert not isinstance("ab", stand_in)


@pytest.mark.parametrize("annotation", OTHERS, ids=repr)
def test_all_other_types_stay_as_they_are(annotation: Any) -> None:
    assert not is_octets(annotation)
    assert received_as(annotation) is annotation
    assert taker(annotation, counted) is None


@pytest.mark.parametrize("kind", OCTETS)
@pytest.mark.parametrize("came", [b"abc", memoryview(b"abc")])
def test_they_become_what_was_declared(kind: Any, came: Any) -> None:
    octets = as_octets(received_as(kind), came)
    assert type(octets) is kind
    assert octets == b"abc"
    assert type(octets) is not memoryview or octets.readonly


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (bytes, "abc", "Expected `bytes`, got `str`"),
        (bytes, None, "Expected `bytes`, got `null`"),
        (memoryview, [1], "Expected `bytes`, got `array`"),
        (bytearray, 1.5, "Expected `bytes`, got `float`"),
        (bytes, np.zeros(2, np.uint8), "Expected `bytes`, got `numpy.ndarray`"),
    ],
    ids=["text", "nothing", "a list", "a number", "an array"],
)
def test_what_is_something_else_is_said_in_the_words_of_all_types(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_octets(received_as(kind), value)


@pytest.mark.parametrize(
    ("annotation", "value", "taken"),
    [
        (bytes, b"ab", 2),
        (memoryview, memoryview(b"abc"), 3),
        (bytes, "not octets", "not octets"),
        (list[bytes], [b"", b"a", None], [0, 1, None]),
        (tuple[int, bytes, str, list[bytearray]], (1, b"ab", "x", [bytearray(5)]), [1, 2, "x", [5]]),
        (tuple[bytes, ...], (b"ab", b"c"), [2, 1]),
        (tuple[bytes, int], (b"ab", 1, 2), (b"ab", 1, 2)),
        (tuple[bytes], None, None),
        (list[bytes], "ab", "ab"),
    ],
    ids=repr,
)
def test_they_are_taken_from_where_they_are_declared(annotation: Any, value: Any, taken: Any) -> None:
    take = taker(annotation, counted)
    assert take is not None
    assert take(value) == taken


def test_what_is_given_is_left_as_it_is() -> None:
    rows = [b"ab", b"c"]
    take = taker(tuple[list[bytes]], counted)
    assert take is not None
    assert take((rows,)) == [[2, 1]]
    assert rows == [b"ab", b"c"]
