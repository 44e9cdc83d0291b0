"""Who runs next in a worker, and on which thread.

Sync user code runs one batch at a time. A method that is known to take a few milliseconds at most runs right on the event
loop: handing it to a thread and back costs both of them and the machine's caches. Anything slower gets the worker's one
thread, so that cancellations, pings and health checks are heard meanwhile. Which is which is measured, and a method may
change sides.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from asyncio import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, cast

from kapelle.clock import monotonic
from kapelle.core.batch import Batcher, Ready, WaitUntil
from kapelle.errors import DeadlineExceeded
from kapelle.observe.metrics import Counter, Histogram
from kapelle.tasks import Tasks
from kapelle.worker.execution import Execution, cancelled
from kapelle.worker.job import Job

FAST = 0.005
"""Seconds below which a method runs on the event loop."""
_TURN = 0.005
"""Seconds of user code on the event loop before other events get their turn, and what was answered leaves."""
_TICK = 0.0005
"""Seconds below which the event loop's clock cannot wait."""
STUCK_GRACE = 1.0
"""Seconds after the last deadline of a running batch at which the worker counts as stuck."""


class Queue:
    """One method of one instance: its batcher, and what the running of it is measured by."""

    def __init__(
        self,
        execution: Execution,
        instance: Any,
        context: Context,
        batcher: Batcher,
        *,
        durations: Histogram,
        sizes: Histogram | None,
        late: Counter,
    ) -> None:
        self.execution = execution
        self.instance = instance
        # Each call has its copy: what the constructor has set holds in all of them, what a call sets in no other.
        self.context = context
        self.batcher = batcher
        self.batched = execution.spec.kind == "batched"
        self.is_async = execution.spec.is_async
        # Coroutines run beside each other, everything else in turn: batches too, or batching would be pointless.
        self.in_turn = self.batched or not self.is_async
        self.durations = durations
        self.sizes = sizes
        self.late = late
        self.load = 0
        """Calls that were taken and are not over yet."""
        self.waiting = False
        # Unknown is slow: the first run goes to the thread.
        self.pace = 1.0

    def settle(self, rows: int, began: float, now: float) -> None:
        """A run has ended: measure it."""
        took = now - began
        self.pace = took if took > self.pace else 0.7 * self.pace + 0.3 * took
        self.durations.observe(took)
        if self.sizes is not None:
            self.sizes.observe(rows)
            self.batcher.finished(rows, began, now)


class Runner:
    """Runs the jobs of a worker. ``on_exit`` is told when user code wants the process to end."""

    def __init__(
        self, *, on_stuck: Callable[[str], None], on_freed: Callable[[], None], on_exit: Callable[[BaseException], None]
    ) -> None:
        self._on_stuck = on_stuck
        self._on_freed = on_freed
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._queues: deque[Queue] = deque()
        self._busy = False
        self._stuck = False
        self._closed = False
        self._goes_on = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="kapelle-user-code", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a batch runs that nothing else may run beside."""
        return self._busy

    @property
    def queued_rows(self) -> int:
        """Rows that wait for user code."""
        return sum([queue.batcher.queued_rows for queue in self._queues])

    def flush(self) -> list[Job]:
        """All that waits for user code, and empty queues."""
        return [job for queue in self._queues for job in cast(list[Job], queue.batcher.flush())]

    # --- taking jobs --------------------------------------------------------------------------------------------------

    def offer(self, queue: Queue, job: Job, now: float) -> bool:
        """Queue a job, which runs at the next ``pump``; False when the queue is full."""
        if not queue.batcher.offer(job, now):
            return False
        job.batcher = queue.batcher
        if not queue.waiting:
            queue.waiting = True
            self._queues.append(queue)
        return True

    def run_now(self, queue: Queue, job: Job, turn_began: float) -> bool:
        """Run a fast call that finds nothing before it, right here; False when it has to queue."""
        if queue.pace >= FAST or self._busy or queue.waiting or queue.batched:
            return False
        began = monotonic()
        if began - turn_began > _TURN or job.deadline <= began:
            return False
        self._run_in_place(queue, [job], 1, began)
        return True

    def run_beside(self, queue: Queue, job: Job) -> None:
        """Run a coroutine, beside all others."""

        async def run() -> None:
            began = monotonic()
            outcome = await queue.execution.run_one_async(queue.instance, job)
            queue.settle(1, began, monotonic())
            _answer(queue.execution, [job], [outcome])

        self.look_after(job, run)

    def look_after(self, job: Job, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine that answers ``job``, and is stopped when nobody waits for that."""
        task = self.spawn(work)
        job.stop = task.cancel
        task.add_done_callback(partial(self._over, [job]))

    def pump(self) -> None:
        """Run what is due; called whenever something arrived or ended."""
        if self._busy or not self._queues or self._closed:
            return
        until = monotonic() + _TURN
        idle = 0
        wake: float | None = None
        while idle < len(self._queues):
            queue = self._queues.popleft()
            now = monotonic()
            poll = self._poll(queue, now)
            if queue.batcher.queued_rows:
                self._queues.append(queue)
            else:
                queue.waiting = False
            if isinstance(poll, Ready):
                if not self._run(queue, cast(list[Job], poll.entries), now):
                    return
                if monotonic() > until:
                    self._go_on_later()
                    return
                idle = 0
            elif poll.time is not None:
                idle += 1
                wake = poll.time if wake is None else min(wake, poll.time)
        if wake is not None:
            self._wake_at(wake)

    # --- the thread of user code --------------------------------------------------------------------------------------

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` on the thread of user code (constructors, hooks)."""
        done: asyncio.Future[Any] = self._loop.create_future()

        def work() -> None:
            try:
                result = function()
            except StopIteration as error:
                self._tell(_fail, done, RuntimeError(f"user code raised {error!r}"))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
                self._tell(_fail, done, error)
            else:
                self._tell(_succeed, done, result)

        self._inbox.put(work)
        return await done

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run a coroutine that runs user code; it ends with the runner."""
        return self._tasks.spawn(self._guarded(work))

    def close(self) -> None:
        """Run nothing more, stop what can be stopped, and end the thread once it is idle."""
        self._closed = True
        self._inbox.put(None)
        for timer in (self._timer, self._watchdog):
            if timer is not None:
                timer.cancel()
        self._tasks.cancel()

    # --- running ------------------------------------------------------------------------------------------------------

    def _poll(self, queue: Queue, now: float) -> Ready | WaitUntil:
        poll = queue.batcher.poll(now)
        while True:
            for job in cast(list[Job], poll.expired):
                queue.late.inc()
                job.failed(DeadlineExceeded("the deadline passed while the call waited in the replica's queue"))
            if isinstance(poll, Ready) or poll.time is None or poll.time - now > _TICK:
                return poll
            poll = queue.batcher.poll(poll.time)

    def _run(self, queue: Queue, jobs: list[Job], began: float) -> bool:
        """Run a batch; False when it is still running."""
        rows = sum([job.rows for job in jobs])
        if queue.is_async:
            self._run_coroutine(queue, jobs, rows, began)
            return False
        if queue.pace < FAST:
            self._run_in_place(queue, jobs, rows, began)
            return True
        self._begin(jobs)
        self._inbox.put(partial(self._run_in_thread, queue, jobs, rows, began))
        return False

    def _run_in_place(self, queue: Queue, jobs: list[Job], rows: int, began: float) -> None:
        # As on the thread, no event loop runs where user code looks for one: `asyncio.run` works here and there.
        _set_running_loop(None)
        try:
            outcomes = queue.context.copy().run(_outcomes, queue, jobs)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like: it is the process that shall end
            self._on_exit(error)
            return
        finally:
            _set_running_loop(self._loop)
        queue.settle(rows, began, monotonic())
        _answer(queue.execution, jobs, outcomes)

    def _run_in_thread(self, queue: Queue, jobs: list[Job], rows: int, began: float) -> None:
        try:
            outcomes = queue.context.copy().run(_outcomes, queue, jobs)
        except BaseException as error:  # noqa: BLE001 - as above; this thread alone would end unnoticed
            self._tell(self._on_exit, error)
        else:
            self._tell(self._end, queue, jobs, outcomes, rows, began, monotonic())

    def _run_coroutine(self, queue: Queue, jobs: list[Job], rows: int, began: float) -> None:
        """Run an async batch; nothing else that runs in turn may begin before its end."""
        last = self._begin(jobs)
        outcomes: list[Any] = []

        async def run() -> None:
            try:
                async with asyncio.timeout(last - began):
                    outcomes[:] = await queue.execution.run_batch_async(queue.instance, jobs)
            except TimeoutError:
                outcomes[:] = [DeadlineExceeded("the deadline passed while the call ran")] * len(jobs)
            except Exception as error:  # noqa: BLE001 - what user code has returned may be anything
                outcomes[:] = [error] * len(jobs)

        def ended(task: asyncio.Task[None]) -> None:
            # A batch that was stopped, as nobody waited for it any more, has nothing to answer.
            self._end(queue, jobs[: len(outcomes)], outcomes, rows, began, monotonic())
            self._over(jobs, task)

        task = self.spawn(run)
        task.add_done_callback(ended)

        def stop_if_abandoned() -> None:
            if all(job.abandoned for job in jobs):
                task.cancel()

        for job in jobs:
            job.stop = stop_if_abandoned

    def _over(self, jobs: list[Job], task: asyncio.Task[None]) -> None:
        """A coroutine has ended. User code may stop its own task, or end it in odd ways: callers hear of that as well."""
        failure = cancelled(None) if task.cancelled() else task.exception()
        for job in jobs:
            job.dropped()
            if failure is not None and not self._closed:
                job.failed(failure)

    def _begin(self, jobs: list[Job]) -> float:
        self._busy = True
        last = max([job.deadline for job in jobs])
        self._watchdog = self._loop.call_later(max(0.0, last - monotonic()) + STUCK_GRACE, self._bark)
        return last

    def _end(self, queue: Queue, jobs: list[Job], outcomes: list[Any], rows: int, began: float, now: float) -> None:
        self._busy = False
        if self._watchdog is not None:
            self._watchdog.cancel()
        queue.settle(rows, began, now)
        _answer(queue.execution, jobs, outcomes)
        if self._stuck:
            self._stuck = False
            self._on_freed()
        self.pump()

    def _bark(self) -> None:
        self._stuck = True
        self._on_stuck("a call still runs after its deadline, and cannot be stopped")

    def _go_on_later(self) -> None:
        """Pump again after the other events: once, however often it was pumped meanwhile, or turns would add up."""
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        self.pump()

    def _wake_at(self, time: float) -> None:
        if self._timer is not None:
            if self._wake <= time:
                return
            self._timer.cancel()
        self._wake = time
        self._timer = self._loop.call_later(max(0.0, time - monotonic()), self._woken)

    def _woken(self) -> None:
        self._timer = None
        self.pump()

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (SystemExit, KeyboardInterrupt) as error:
            self._on_exit(error)

    def _work(self) -> None:
        while (function := self._inbox.get()) is not None:
            function()
            # It may hold an instance, and nothing else may come for long after its release was retired.
            del function

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call ``function`` on the event loop, from the thread."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The event loop was closed while user code ran: nobody is left to be told.
            return


def _outcomes(queue: Queue, jobs: list[Job]) -> list[Any]:
    execution = queue.execution
    try:
        if queue.batched:
            return execution.run_batch(queue.instance, jobs)
        return [execution.run_one(queue.instance, job) for job in jobs]
    except Exception as error:  # noqa: BLE001 - what user code has returned may be anything, and raise when it is looked at
        return [error] * len(jobs)


def _answer(execution: Execution, jobs: list[Job], outcomes: list[Any]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            job.failed(outcome)
        else:
            job.done(execution.pack, outcome)


def _succeed(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
