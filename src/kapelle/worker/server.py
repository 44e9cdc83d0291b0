"""A worker's data plane: calls come in, are decoded, queued, run and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from kapelle.artifacts.instances import Instance
from kapelle.clock import monotonic
from kapelle.core.batch import Batcher
from kapelle.declare.context import RequestContext
from kapelle.declare.interface import interface_of
from kapelle.declare.services import ServiceSpec
from kapelle.errors import ContractError, WireError
from kapelle.observe.metrics import LATENCY_BUCKETS, SIZE_BUCKETS, Registry
from kapelle.transport.connection import Connection
from kapelle.transport.outbox import Outbox
from kapelle.wire import messages
from kapelle.wire.body import Body, Buffer
from kapelle.wire.frames import Frame
from kapelle.wire.turns import said_to_replica
from kapelle.worker.execution import Execution
from kapelle.worker.job import Job, failure, log_failure
from kapelle.worker.runner import Queue, Runner
from kapelle.worker.streams import Stream

log = structlog.get_logger()

_HANG_UP = 1.0
"""Seconds gateways are given to hang up, once they have all their answers."""
_LONGEST_TIMEOUT = 1e6


class Worker:
    """The instances of one service in this process, and the calls they are given.

    ``on_state`` is called at every change of ``state`` (starting, ready, stuck, draining); ``on_exit`` when user code
    wants the process to end, with what it raised.
    """

    def __init__(self, spec: ServiceSpec, replica: str, registry: Registry, code: str = "") -> None:
        """``code`` is the version of the app's code, where callers may have another."""
        self.spec = spec
        self.replica = replica
        self.state = "starting"
        self.detail = ""
        self.on_state: Callable[[], None] = lambda: None
        self.on_exit: Callable[[BaseException], None] = _raise_in_loop
        self.runner = Runner(on_stuck=self._stuck, on_freed=self._freed, on_exit=self._exited)
        self.queues: dict[tuple[str, int, str], Queue] = {}
        self.calls = registry.counter("kapelle_calls_total", "Calls that reached the replica.")
        self.refusals = registry.counter("kapelle_calls_refused_total", "Calls refused: full, draining or stuck.")
        self._registry = registry
        self._code = code, interface_of(spec) if code else ""
        self._opened = asyncio.Event()
        self._executions = {name: Execution(method) for name, method in spec.methods.items()}
        self._instances: dict[str, dict[int, Instance]] = {}
        self._callers: set[_Caller] = set()
        self._moved = asyncio.Event()
        self._in_flight = 0
        registry.gauge("kapelle_replica_in_flight", "Calls taken and not yet answered.", lambda: self._in_flight)
        registry.gauge("kapelle_replica_queued_rows", "Rows that wait for user code.", lambda: self.runner.queued_rows)

    @property
    def in_flight(self) -> int:
        """Calls that were taken and are not over yet."""
        return self._in_flight

    @property
    def called(self) -> bool:
        """Whether a gateway has a link to it."""
        return any(caller.welcomed for caller in self._callers)

    @property
    def holds(self) -> dict[str, list[int]]:
        """The shards of each release that are ready."""
        return {release: sorted(instances) for release, instances in self._instances.items()}

    def serve(self, release: str, instances: dict[int, Instance]) -> None:
        """The instances of these shards are built: take calls for them, beside those for what was there before."""
        self._instances.setdefault(release, {}).update(instances)
        for shard, instance in instances.items():
            for name, execution in self._executions.items():
                self.queues[release, shard, name] = self._queue(name, execution, instance)
        self._tell(messages.Holds(self.holds))
        if self.state == "starting":
            self._set_state("ready", "")
            self._opened.set()
        for caller in self._callers:
            caller.welcome()

    async def deserted(self, seconds: float) -> None:
        """Return when no gateway knows this replica any more, or after ``seconds``."""
        await self._within(seconds, lambda: not self.called)

    def open(self) -> None:
        """There is nothing to hold for now: the replica is there for when somebody else ends."""
        if self.state == "starting":
            self._set_state("ready", "")
            self._opened.set()
            for caller in self._callers:
                caller.welcome()

    async def opened(self) -> None:
        """Return when there is something to take calls for."""
        await self._opened.wait()

    def welcome(self) -> messages.Welcome:
        """What callers are told of this replica."""
        return messages.Welcome(messages.PROTOCOL, self.spec.name, self.replica, self.holds, *self._code)

    def retire(self, release: str, shards: Collection[int]) -> Awaitable[None]:
        """Take no more calls for these shards; what is returned finishes those that were taken, and shuts down."""
        held = self._instances.get(release, {})
        leaving = {shard: held.pop(shard) for shard in shards if shard in held}
        if not held:
            self._instances.pop(release, None)
        queues = [self.queues.pop((release, shard, name)) for shard in leaving for name in self._executions]
        self._tell(messages.Holds(self.holds))
        return self._finish(queues, list(leaving.values()))

    def accept(self, connection: Connection) -> None:
        """A gateway has connected."""
        caller = _Caller(self, connection)
        self._callers.add(caller)
        connection.start(caller.on_frames, caller.on_lost)

    async def drain(self, seconds: float) -> bool:
        """Take no new calls and wait for those that were taken; False when somebody still waits for one at the end."""
        self._set_state("draining", "")
        self._tell(messages.Unready("draining"))
        await self._within(seconds, lambda: not self._in_flight)
        done = not any(caller.waits for caller in self._callers)
        # A gateway hangs up when it has heard of the draining and has its answers: no call can be on its way then.
        await self._within(_HANG_UP, lambda: not self.called)
        return done

    async def close(self) -> None:
        """Run the shut-down hooks and say good-bye."""
        for instance in self._all_instances:
            if self.runner.busy:
                log.warning("shut-down hooks are left out: user code still runs", replica=self.replica)
                break
            await instance.shutdown()
        self.runner.close()
        for caller in self._callers:
            caller.close()
        await self._within(_HANG_UP, lambda: not self._callers)

    def abort(self) -> None:
        """End at once, as if the process had died."""
        self.runner.close()
        for instance in self._all_instances:
            instance.abort()
        for caller in self._callers:
            caller.connection.abort()

    def took(self, queue: Queue) -> None:
        """A call was taken."""
        self._in_flight += 1
        queue.load += 1
        self.calls.value += 1

    def over(self, queue: Queue) -> None:
        """A call was answered."""
        self._in_flight -= 1
        queue.load -= 1
        if not self._in_flight or not queue.load:
            self._moved.set()

    @property
    def _all_instances(self) -> list[Instance]:
        return [instance for held in self._instances.values() for instance in held.values()]

    def forget(self, caller: _Caller) -> None:
        """A gateway is gone."""
        self._callers.discard(caller)
        self._moved.set()

    def _queue(self, name: str, execution: Execution, instance: Instance) -> Queue:
        batch = execution.spec.batch
        registry = self._registry
        return Queue(
            execution,
            instance.value,
            instance.context,
            Batcher(
                max_size=batch.max_size if batch else 1,
                max_wait=batch.max_wait if batch else 0.0,
                max_bytes=batch.max_bytes if batch else 1,
                max_queue=self.spec.max_queue,
            ),
            durations=registry.histogram(
                "kapelle_run_seconds", "Time in user code, per batch.", LATENCY_BUCKETS, method=name
            ),
            sizes=registry.histogram("kapelle_batch_rows", "Rows run together.", SIZE_BUCKETS, method=name)
            if batch
            else None,
            late=registry.counter("kapelle_calls_expired_total", "Calls whose deadline passed in the queue."),
        )

    def _stuck(self, reason: str) -> None:
        log.error("replica is stuck", replica=self.replica, reason=reason)
        if self.state == "ready":
            self._set_state("stuck", reason)
            self._tell(messages.Unready(reason))
        for job in self.runner.flush():
            job.refused("stuck")

    def _exited(self, error: BaseException) -> None:
        self.on_exit(error)

    def _freed(self) -> None:
        log.warning("replica is stuck no more", replica=self.replica)
        if self.state == "stuck":
            self._set_state("ready", "")
            self._tell(messages.Readied())
            for caller in self._callers:
                caller.welcome()

    def _tell(self, message: messages.OneFromReplica) -> None:
        for caller in self._callers:
            if caller.welcomed:
                caller.send(message)

    def _set_state(self, state: str, detail: str) -> None:
        self.state = state
        self.detail = detail
        self.on_state()

    async def _finish(self, queues: list[Queue], instances: list[Instance]) -> None:
        while any(queue.load for queue in queues):
            self._moved.clear()
            await self._moved.wait()
        for instance in instances:
            await instance.shutdown()

    async def _within(self, seconds: float, done: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True


class _Caller:
    """One gateway's connection and the calls that came over it."""

    def __init__(self, worker: Worker, connection: Connection) -> None:
        self.worker = worker
        self.connection = connection
        self.welcomed = False
        self._outbox: Outbox[messages.OneFromReplica] = Outbox(connection, messages.TurnFromReplica)
        self._greeted = False
        self._jobs: dict[int, tuple[Job, Queue]] = {}

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer."""
        return any(not job.abandoned for job, _ in self._jobs.values())

    # --- what is said to it -------------------------------------------------------------------------------------------

    def send(self, message: messages.OneFromReplica, segments: Sequence[Buffer] = ()) -> None:
        self._outbox.say(message, segments)

    def answer(self, job: Job, message: messages.OneFromReplica, segments: Sequence[Buffer]) -> None:
        self._outbox.say(message, segments)
        _, queue = self._jobs.pop(job.key)
        self.worker.over(queue)

    def close(self) -> None:
        """Say good-bye, behind all that was said."""
        self._outbox.close()

    def welcome(self) -> None:
        """Tell the gateway what is served here, once both it and the instances are there."""
        worker = self.worker
        if self._greeted and not self.welcomed and worker.state == "ready":
            self.welcomed = True
            self.send(worker.welcome())

    # --- what it says -------------------------------------------------------------------------------------------------

    def on_frames(self, frames: list[Frame]) -> None:
        now = monotonic()
        try:
            for head, body in frames:
                said = said_to_replica(head)
                size = (len(head) + len(body)) // len(said)
                for message in said:
                    if type(message) is messages.Call:
                        self._call(message, body, size, now)
                    else:
                        self._other(message)
        except WireError as error:
            log.warning("a caller sent garbage and is cut off", replica=self.worker.replica, reason=error.detail)
            self.connection.abort()
        self.worker.runner.pump()

    def on_lost(self, reason: str) -> None:
        """The gateway is gone: nobody waits for its calls."""
        self.worker.forget(self)
        for job, _ in list(self._jobs.values()):
            job.cancel()

    def _call(self, call: messages.Call, body: Body, size: int, now: float) -> None:
        worker = self.worker
        if not self.welcomed or call.ticket in self._jobs:
            raise WireError(f"call {call.ticket} came twice, or before the welcome")
        # In this order NaN, which is not less than anything, becomes the longest too.
        timeout = min(_LONGEST_TIMEOUT, call.timeout)
        context = RequestContext(call.request, call.trace, now + timeout, call.release)
        queue = worker.queues.get((call.release, call.shard, call.method))
        if worker.state != "ready":
            self._refuse(call, worker.state)
            return
        if queue is None:
            if call.method in worker.spec.methods:
                # Given up since the caller chose, or not there yet: another copy may have it.
                self._refuse(call, f"shard {call.shard} of release {call.release} is not here")
                return
            self.send(failure(call.ticket, ContractError(f"{worker.replica} serves no {call.method!r}")))
            return
        if not self._has_room(queue, call.rows):
            self._refuse(call, messages.FULL)
            return
        try:
            arguments = queue.execution.decode(call.arguments, body, call.rows)
        except Exception as error:  # noqa: BLE001 - users' types may raise anything when they are made of what came
            answer = failure(call.ticket, error)
            self.send(answer)
            log_failure(answer, context)
            return
        worker.took(queue)
        job = Job(call.ticket, call.rows, size, arguments, context, self)
        self._jobs[call.ticket] = job, queue
        self._dispatch(queue, job, now)

    def _dispatch(self, queue: Queue, job: Job, now: float) -> None:
        runner = self.worker.runner
        if queue.in_turn:
            if not runner.run_now(queue, job, now):
                runner.offer(queue, job, now)
        elif queue.execution.spec.kind == "stream":
            stream = Stream(queue.execution, queue.instance, job)
            job.grant = stream.grant
            runner.look_after(job, stream.run)
        else:
            runner.run_beside(queue, job)

    def _has_room(self, queue: Queue, rows: int) -> bool:
        """Whether a call may wait, or run beside the others: looked at before any work is done for it."""
        limit = self.worker.spec.max_queue
        if not queue.in_turn:
            return self.worker.in_flight < limit
        queued = queue.batcher.queued_rows
        return not queued or queued + rows <= limit

    def _refuse(self, call: messages.Call, reason: str) -> None:
        self.worker.refusals.inc()
        self.send(messages.Refused(call.ticket, reason))

    def _other(self, message: messages.OneToReplica) -> None:
        match message:
            case messages.Cancel(ticket):
                if ticket in self._jobs:
                    self._jobs[ticket][0].cancel()
            case messages.Ping(number):
                self.send(messages.Pong(number))
            case messages.Credit(ticket, items):
                if ticket in self._jobs:
                    self._jobs[ticket][0].granted(items)
            case messages.Hello(protocol, caller):
                self._hello(protocol, caller)

    def _hello(self, protocol: int, caller: str) -> None:
        worker = self.worker
        if protocol != messages.PROTOCOL:
            # The other side is told what is spoken here, and can say so where its people look.
            self.send(messages.Welcome(messages.PROTOCOL, worker.spec.name, worker.replica, {}))
            self.close()
            log.error("a caller speaks another protocol: update the older side", caller=caller, theirs=protocol)
            return
        self._greeted = True
        self.welcome()


def _raise_in_loop(error: BaseException) -> None:
    """Let ``error`` (a SystemExit) end the event loop, and the process with it."""
    asyncio.get_running_loop().call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error
