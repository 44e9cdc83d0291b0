"""Room is given out once, and all of it can be given out again."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kapelle.core.space import GRAIN, Space

SIZE = 40 * GRAIN + 17


class Room(RuleBasedStateMachine):
    """Whoever takes room has it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.space = Space(SIZE)
        self.taken: dict[int, int] = {}

    @rule(length=st.integers(1, 12 * GRAIN))
    def take(self, length: int) -> None:
        begin = self.space.take(length)
        end = length if begin is None else begin + length
        if begin is None:
            assert self.longest_hole() < length, "there was room"
        else:
            assert begin % GRAIN == 0
            assert 0 <= begin < end <= SIZE
            assert all(end <= other or begin >= other_end for other, other_end in self.taken.items())
            self.taken[begin] = begin + length + -length % GRAIN

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        begin = data.draw(st.sampled_from(sorted(self.taken)))
        del self.taken[begin]
        self.space.give_back(begin)

    @invariant()
    def what_is_taken_is_counted(self) -> None:
        assert self.space.taken == sum(end - begin for begin, end in self.taken.items())

    def longest_hole(self) -> int:
        edges = [0, *(edge for part in sorted(self.taken.items()) for edge in part), SIZE - SIZE % GRAIN]
        return max(edges[at + 1] - edges[at] for at in range(0, len(edges), 2))


TestRoom = Room.TestCase


def test_the_lowest_room_that_fits_is_taken() -> None:
    space = Space(10 * GRAIN)
    assert [space.take(GRAIN), space.take(2 * GRAIN), space.take(GRAIN + 1)] == [0, GRAIN, 3 * GRAIN]
    space.give_back(GRAIN)
    assert space.take(GRAIN) == GRAIN
    assert space.take(2 * GRAIN) == 5 * GRAIN
