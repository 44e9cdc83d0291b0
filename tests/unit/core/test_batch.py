"""Every call leaves the queue once, in order and in time, and batches keep their limits."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kapelle.core.batch import Batcher, Entry, Ready, WaitUntil

FAR = 1e9
ROUNDING = 1e-9


class BatcherMachine(RuleBasedStateMachine):
    """A service that runs one batch at a time, polled whenever something arrives, ends, or its wait is over."""

    @initialize(
        max_size=st.integers(1, 8),
        max_wait=st.sampled_from([0.0, 0.5, 2.0]),
        max_bytes=st.integers(1, 200),
        max_queue=st.integers(1, 20),
        durations=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=5),
    )
    def open(self, max_size: int, max_wait: float, max_bytes: int, max_queue: int, durations: list[float]) -> None:
        self.limits = (max_size, max_bytes, max_queue)
        self.max_wait = max_wait
        self.durations = durations
        self.batcher = Batcher(max_size=max_size, max_wait=max_wait, max_bytes=max_bytes, max_queue=max_queue)
        self.now = 100.0
        self.waiting: list[Entry] = []
        self.idle_wait: dict[int, float] = {}
        self.arrived = 0
        self.last_taken = -1
        self.batches = 0
        self.wake: float | None = None
        self.running: tuple[int, float, float] | None = None
        self.last_end: float | None = None

    @rule(rows=st.integers(1, 10), size=st.integers(0, 250), patience=st.floats(0.1, 12.0))
    def arrive(self, rows: int, size: int, patience: float) -> None:
        entry = Entry(self.arrived, rows, size, self.now + patience)
        self.arrived += 1
        queued = self.batcher.queued_rows
        taken_in = self.batcher.offer(entry, self.now)
        assert taken_in is (not queued or queued + rows <= self.limits[2])
        if taken_in:
            self.waiting.append(entry)
            self.idle_wait[entry.key] = 0.0
            self.poll()
        else:
            assert not entry.queued
            self.batcher.drop(entry)

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if self.waiting:
            entry = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
            self.batcher.drop(entry)
            self.batcher.drop(entry)  # twice is the same as once

    @rule(span=st.floats(0.0, 6.0))
    def pass_time(self, span: float) -> None:
        end = self.now + span
        while (event := self.next_event()) is not None and event <= end:
            self.go_to(event)
            if self.running is not None:
                rows, began, _ = self.running
                self.running = None
                self.last_end = self.now
                self.batcher.finished(rows, began, self.now)
            self.poll()
        self.go_to(end)

    @rule()
    def get_stuck(self) -> None:
        assert self.batcher.flush() == self.waiting
        self.waiting = []

    def next_event(self) -> float | None:
        return self.running[2] if self.running is not None else self.wake

    def go_to(self, time: float) -> None:
        if self.running is None:
            for entry in self.waiting:
                self.idle_wait[entry.key] += time - self.now
        self.now = time

    def poll(self) -> None:
        if self.running is not None:
            return
        answer = self.batcher.poll(self.now)
        assert answer.expired == self.remove(entry for entry in self.waiting if entry.deadline <= self.now)
        if isinstance(answer, Ready):
            self.run(answer.entries)
        else:
            self.wait(answer)

    def remove(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take these from the model; an entry that is not there has left before, and fails the test."""
        gone = list(entries)
        for entry in gone:
            self.waiting.remove(entry)
        return gone

    def run(self, entries: list[Entry]) -> None:
        max_size, max_bytes, _ = self.limits
        assert entries
        assert entries == self.waiting[: len(entries)], "first come, first served"
        self.remove(entries)
        rows = sum(entry.rows for entry in entries)
        if len(entries) > 1:
            assert rows <= max_size
            assert sum(entry.size for entry in entries) <= max_bytes
        for entry in entries:
            assert entry.deadline > self.now, "nothing is run that is too late"
            assert self.idle_wait[entry.key] <= self.max_wait + ROUNDING, "nobody waits for company longer"
        duration = self.durations[self.batches % len(self.durations)]
        self.batches += 1
        self.running = (rows, self.now, self.now + duration)
        self.wake = None

    def wait(self, answer: WaitUntil) -> None:
        self.wake = answer.time
        if not self.waiting:
            assert answer.time is None
            return
        max_size, max_bytes, _ = self.limits
        assert answer.time is not None, "it is known when to look again"
        assert self.now < answer.time <= min(entry.deadline for entry in self.waiting)
        assert sum(entry.rows for entry in self.waiting) < max_size, "a full batch does not wait"
        assert sum(entry.size for entry in self.waiting) < max_bytes
        assert self.last_end is not None, "an idle service does not wait"
        assert self.now - self.last_end <= self.max_wait

    @invariant()
    def rows_are_counted(self) -> None:
        assert self.batcher.queued_rows == sum(entry.rows for entry in self.waiting)
        assert all(entry.queued for entry in self.waiting)

    def teardown(self) -> None:
        self.pass_time(FAR)
        assert not self.waiting, "whatever came in has left"


TestBatcherMachine = BatcherMachine.TestCase
TestBatcherMachine.settings = settings(max_examples=150, stateful_step_count=40)


def make(max_size: int = 4, max_wait: float = 2.0, max_bytes: int = 100, max_queue: int = 1000) -> Batcher:
    return Batcher(max_size=max_size, max_wait=max_wait, max_bytes=max_bytes, max_queue=max_queue)


def entry(key: str, rows: int = 1, size: int = 1, deadline: float = FAR) -> Entry:
    return Entry(key, rows, size, deadline)


def taken(answer: Ready | WaitUntil) -> list[str]:
    assert isinstance(answer, Ready)
    return [one.key for one in answer.entries]


def wait_of(answer: Ready | WaitUntil) -> float:
    assert isinstance(answer, WaitUntil)
    assert answer.time is not None
    return answer.time


def busy(batcher: Batcher, *, rows: int, seconds: float = 0.0, until: float = 10.0) -> None:
    """Batches of ``rows`` rows, each of which took ``seconds``, for long enough to be what is expected."""
    for _ in range(50):
        batcher.finished(rows, until - seconds, until)


def test_rows_that_came_while_the_service_worked_run_together() -> None:
    batcher = make()
    for key in "abcdef":
        batcher.offer(entry(key), 0.0)
    assert taken(batcher.poll(0.0)) == ["a", "b", "c", "d"]
    assert taken(batcher.poll(0.0)) == ["e", "f"]


def test_an_idle_service_does_not_wait_however_full_its_batches_were() -> None:
    batcher = make()
    busy(batcher, rows=4, until=10.0)
    batcher.offer(entry("a"), 12.1)
    assert taken(batcher.poll(12.1)) == ["a"]


def test_a_busy_service_waits_the_longer_the_fuller_its_batches_were() -> None:
    waits = []
    for rows in (1, 2, 3, 4):
        batcher = make()
        busy(batcher, rows=rows)
        batcher.offer(entry("a"), 10.0)
        answer = batcher.poll(10.0)
        waits.append(0.0 if isinstance(answer, Ready) else wait_of(answer) - 10.0)
    assert waits[0] == 0.0, "where nobody comes along, waiting is in vain"
    assert waits == sorted(set(waits))
    assert 1.9 < waits[-1] <= 2.0


def test_a_wait_ends_when_the_batch_is_full() -> None:
    batcher = make()
    busy(batcher, rows=4)
    batcher.offer(entry("a", rows=2), 10.0)
    wait_of(batcher.poll(10.0))
    batcher.offer(entry("b", rows=2), 10.5)
    assert taken(batcher.poll(10.5)) == ["a", "b"]


def test_a_wait_ends_when_there_are_bytes_enough() -> None:
    batcher = make(max_size=64)
    busy(batcher, rows=64)
    batcher.offer(entry("a", size=60), 10.0)
    wait_of(batcher.poll(10.0))
    batcher.offer(entry("b", size=60), 10.5)
    assert taken(batcher.poll(10.5)) == ["a"]


def test_bytes_that_were_taken_do_not_count_for_the_next_batch() -> None:
    batcher = make()
    batcher.offer(entry("large", size=100), 9.0)
    assert taken(batcher.poll(9.0)) == ["large"]
    busy(batcher, rows=4)
    batcher.offer(entry("small"), 10.0)
    assert wait_of(batcher.poll(10.0)) > 10.0


def test_what_a_full_batch_left_behind_waits_no_longer_because_it_is_looked_at_again() -> None:
    batcher = make()
    busy(batcher, rows=4)
    batcher.offer(entry("a", rows=3), 10.0)
    batcher.offer(entry("b", rows=2), 10.0)
    assert taken(batcher.poll(10.0)) == ["a"]
    first = wait_of(batcher.poll(10.0))
    assert first > 10.5
    assert wait_of(batcher.poll(10.5)) == first


def test_a_wait_leaves_time_for_the_work() -> None:
    batcher = make()
    busy(batcher, rows=4, seconds=0.25)
    batcher.offer(entry("a", deadline=11.5), 10.0)
    assert 10.9 < wait_of(batcher.poll(10.0)) < 11.1


def test_calls_that_are_too_late_are_not_run() -> None:
    batcher = make()
    batcher.offer(entry("late", deadline=1.0), 0.0)
    batcher.offer(entry("later", deadline=2.0), 0.0)
    batcher.offer(entry("in time", deadline=3.0), 0.0)
    answer = batcher.poll(2.0)
    assert [one.key for one in answer.expired] == ["late", "later"]
    assert taken(answer) == ["in time"]


def test_a_call_larger_than_every_limit_runs_alone() -> None:
    batcher = make(max_queue=2)
    assert batcher.offer(entry("huge", rows=100, size=1000), 0.0)
    assert not batcher.offer(entry("a"), 0.0)
    assert taken(batcher.poll(0.0)) == ["huge"]
    assert batcher.offer(entry("a"), 0.0)


def test_a_call_given_up_is_not_run() -> None:
    batcher = make()
    kept, dropped = entry("kept"), entry("dropped")
    batcher.offer(dropped, 0.0)
    batcher.offer(kept, 0.0)
    batcher.drop(dropped)
    assert taken(batcher.poll(0.0)) == ["kept"]
    batcher.drop(kept)  # it runs already
    assert batcher.queued_rows == 0


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_flush_gives_back_all_that_waits(kept: list[bool]) -> None:
    batcher = make()
    entries = [entry(str(number)) for number in range(len(kept))]
    for one in entries:
        batcher.offer(one, 0.0)
    for one, keep in zip(entries, kept, strict=True):
        if not keep:
            batcher.drop(one)
    assert batcher.flush() == [one for one, keep in zip(entries, kept, strict=True) if keep]
    assert batcher.flush() == []
    assert batcher.queued_rows == 0


def test_callers_who_come_and_go_leave_nothing_behind() -> None:
    batcher = make()
    batcher.offer(entry("waiting"), 0.0)
    kept = []
    for number in range(10_000):
        fleeting = entry(str(number))
        batcher.offer(fleeting, 0.0)
        batcher.drop(fleeting)
        kept.append(len(batcher._queue))
    assert max(kept) < 10
    assert taken(batcher.poll(0.0)) == ["waiting"]
