"""Who runs next in a worker, and on which thread.

User code runs one batch at a time. A method that is known to take well under a millisecond runs right on the event loop: a
thread would cost more than the work. Anything slower gets the worker's one thread, so that cancellations, pings and health
checks are heard meanwhile. Which is which is measured, and a method may change sides.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from kapelle.clock import monotonic
from kapelle.core.batch import Batcher, Entry, Ready
from kapelle.declare.context import enter_request
from kapelle.errors import DeadlineExceeded
from kapelle.observe.metrics import Counter, Histogram
from kapelle.worker.execution import Execution
from kapelle.worker.job import Job

FAST = 0.0005
"""Seconds below which a method runs on the event loop."""
_TURN = 0.002
"""Seconds of user code on the event loop before other events get their turn."""
STUCK_GRACE = 1.0
"""Seconds after the last deadline of a running batch at which the worker counts as stuck."""


class Queue:
    """One method of one instance: its batcher, and what the running of it is measured by."""

    def __init__(
        self, execution: Execution, instance: Any, batcher: Batcher, durations: Histogram, sizes: Histogram, late: Counter
    ) -> None:
        self.execution = execution
        self.instance = instance
        self.batcher = batcher
        self.durations = durations
        self.sizes = sizes
        self.late = late
        # Unknown is slow: the first run goes to the thread.
        self.pace = 1.0

    def settle(self, rows: int, began: float, now: float) -> None:
        """A batch has ended: measure it."""
        took = now - began
        self.pace = took if took > self.pace else 0.7 * self.pace + 0.3 * took
        self.durations.observe(took)
        self.sizes.observe(rows)
        self.batcher.finished(rows, began, now)


class Runner:
    """Runs the queues of a worker in turn."""

    def __init__(self, on_stuck: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queues: list[Queue] = []
        self._turn = 0
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._on_stuck = on_stuck
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="kapelle-user-code", daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumping = False

    def add(self, queue: Queue) -> None:
        """Serve one more queue."""
        self._queues.append(queue)

    @property
    def busy(self) -> bool:
        """Whether user code runs at this moment."""
        return self._busy

    @property
    def queued_rows(self) -> int:
        return sum(queue.batcher.queued_rows for queue in self._queues)

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` on the user code's thread (constructors, hooks)."""
        done: asyncio.Future[Any] = self._loop.create_future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
                self._loop.call_soon_threadsafe(_set_exception, done, error)
            else:
                self._loop.call_soon_threadsafe(_set_result, done, result)

        self._inbox.put(work)
        return await done

    def pump(self) -> None:
        """Run what is due; called whenever something arrived or ended."""
        if self._busy or self._pumping:
            return
        self._pumping = True
        try:
            self._pump(monotonic() + _TURN)
        finally:
            self._pumping = False

    def close(self) -> None:
        """End the thread once it is idle."""
        self._inbox.put(None)
        for timer in (self._timer, self._watchdog):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _pump(self, until: float) -> None:
        waits: list[float] = []
        idle = 0
        count = len(self._queues)
        while not self._busy and idle < count:
            queue = self._queues[self._turn % count]
            self._turn += 1
            now = monotonic()
            if now >= until:
                self._loop.call_soon(self.pump)
                return
            poll = queue.batcher.poll(now)
            for entry in poll.expired:
                queue.late.inc()
                entry.key.failed(DeadlineExceeded("the deadline passed while the call waited in the replica's queue"))
            if isinstance(poll, Ready):
                idle = 0
                self._run(queue, poll.entries, now)
            else:
                idle += 1
                if poll.time is not None:
                    waits.append(poll.time)
        if waits and not self._busy:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, min(waits) - monotonic()), self.pump)

    def _run(self, queue: Queue, entries: list[Entry], began: float) -> None:
        execution = queue.execution
        jobs: list[Job] = [entry.key for entry in entries]
        rows = sum([entry.rows for entry in entries])
        if execution.spec.is_async:
            self._run_async(queue, jobs, rows, began)
        elif queue.pace < FAST:
            outcomes = execution.run(queue.instance, jobs)
            enter_request(None)
            queue.settle(rows, began, monotonic())
            execution.answer(jobs, outcomes)
        else:
            self._begin(entries)
            self._inbox.put(partial(self._in_thread, queue, jobs, rows, began))

    def _in_thread(self, queue: Queue, jobs: list[Job], rows: int, began: float) -> None:
        try:
            outcomes = queue.execution.run(queue.instance, jobs)
        except BaseException as error:
            # SystemExit and the like: user code wants the process to end, and so it shall, not only this thread.
            self._loop.call_soon_threadsafe(_raise, error)
            raise
        now = monotonic()
        self._loop.call_soon_threadsafe(self._end, queue, jobs, outcomes, rows, began, now)

    def _run_async(self, queue: Queue, jobs: list[Job], rows: int, began: float) -> None:
        # Unary coroutines run side by side; batches of one method follow each other, or batching would be pointless.
        if queue.execution.spec.kind == "batched":
            self._busy = True

        async def run() -> None:
            outcomes = await queue.execution.run_async(queue.instance, jobs)
            self._end(queue, jobs, outcomes, rows, began, monotonic())

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if queue.execution.spec.kind == "unary":
            jobs[0].task = task

    def _begin(self, entries: list[Entry]) -> None:
        self._busy = True
        last = max(entry.deadline for entry in entries)
        self._watchdog = self._loop.call_later(max(0.0, last - monotonic()) + STUCK_GRACE, self._stuck)

    def _end(self, queue: Queue, jobs: list[Job], outcomes: list[Any], rows: int, began: float, now: float) -> None:
        self._busy = False
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        queue.settle(rows, began, now)
        queue.execution.answer(jobs, outcomes)
        self.pump()

    def _stuck(self) -> None:
        self._on_stuck("a call still runs after its deadline; its thread cannot be stopped")

    def _work(self) -> None:
        while (function := self._inbox.get()) is not None:
            function()


def _set_result(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _raise(error: BaseException) -> None:
    raise error
