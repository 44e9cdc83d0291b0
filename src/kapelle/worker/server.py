"""A worker's data plane: calls come in, are decoded, queued, run and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from kapelle.clock import monotonic
from kapelle.core.batch import Batcher, Entry
from kapelle.declare.context import RequestContext
from kapelle.declare.services import ServiceSpec
from kapelle.errors import CallError, ContractError, InvalidInput, WireError
from kapelle.observe.metrics import LATENCY_BUCKETS, SIZE_BUCKETS, Registry
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.frames import Buffer, Frame
from kapelle.worker.execution import Execution
from kapelle.artifacts.instances import Instance
from kapelle.worker.job import Job
from kapelle.worker.runner import Queue, Runner
from kapelle.worker.streams import Stream

log = structlog.get_logger()

_decode = messages.Decoder[messages.ToReplica](messages.ToReplica)


class Worker:
    """The instances of one service in this process, and the calls they are given."""

    def __init__(self, spec: ServiceSpec, replica: str, registry: Registry) -> None:
        self.spec = spec
        self.replica = replica
        self.state = "starting"
        self.detail = ""
        self.on_state: Callable[[], None] = lambda: None
        self.runner = Runner(self._stuck)
        self._registry = registry
        self._executions = {name: Execution(method) for name, method in spec.methods.items()}
        self._queues: dict[tuple[int, str], Queue] = {}
        self._instances: dict[int, Instance] = {}
        self._links: set[_Link] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0
        self.calls = registry.counter("kapelle_calls_total", "Calls that reached the replica.")
        self.refusals = registry.counter("kapelle_calls_refused_total", "Calls refused: full, draining or stuck.")
        registry.gauge("kapelle_replica_in_flight", "Calls taken and not yet answered.", lambda: self._in_flight)
        registry.gauge("kapelle_replica_queued_rows", "Rows that wait for user code.", lambda: self.runner.queued_rows)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def limit(self) -> int:
        """Calls this worker holds at most, waiting and running."""
        return self.spec.max_queue

    def serve(self, instances: dict[int, Instance]) -> None:
        """The instances are built: take calls."""
        self._instances = instances
        for shard, instance in instances.items():
            for name, execution in self._executions.items():
                if execution.spec.kind != "stream":
                    self._add_queue(shard, name, execution, instance)
        self._set_state("ready", "")
        for link in self._links:
            link.welcome()

    def accept(self, connection: Connection) -> None:
        """A gateway has connected."""
        link = _Link(self, connection)
        self._links.add(link)
        connection.start(link.on_frames, link.on_lost)

    async def drain(self, timeout: float) -> bool:
        """Take no new calls and wait for those that were taken; False when some are still running at the end."""
        self._set_state("draining", "")
        self._tell_unready("draining")
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Run the shut-down hooks and say good-bye."""
        for instance in self._instances.values():
            await instance.shutdown()
        self.runner.close()
        for link in list(self._links):
            link.connection.close()

    def abort(self) -> None:
        """End at once, as if the process had died."""
        for link in list(self._links):
            link.connection.abort()
        self.runner.close()

    def find(self, shard: int, method: str) -> tuple[Execution, Instance]:
        """Who answers a call.

        Raises:
            InvalidInput: no such method, or the shard is not loaded here.
        """
        execution = self._executions.get(method)
        if execution is None:
            raise InvalidInput(f"{self.spec.name} has no method {method!r}; it has {', '.join(self._executions)}")
        instance = self._instances.get(shard)
        if instance is None:
            raise InvalidInput(f"{self.replica} does not hold shard {shard}; it holds {sorted(self._instances)}")
        return execution, instance

    def queue(self, shard: int, method: str) -> Queue:
        return self._queues[shard, method]

    def took(self) -> None:
        """A call was taken."""
        self._in_flight += 1
        self.calls.value += 1
        if self._in_flight == 1:
            self._idle.clear()

    def answered(self) -> None:
        """A call was answered or dropped."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def forget(self, link: _Link) -> None:
        self._links.discard(link)

    @property
    def shards(self) -> list[int]:
        return sorted(self._instances)

    def _add_queue(self, shard: int, name: str, execution: Execution, instance: Instance) -> None:
        batch = execution.spec.batch
        batcher = Batcher(
            max_size=batch.max_size if batch else 1,
            max_wait=batch.max_wait if batch else 0.0,
            max_bytes=batch.max_bytes if batch else 1,
            max_queue=self.spec.max_queue,
        )
        durations = self._registry.histogram(
            "kapelle_run_seconds", "Time in user code, per batch.", LATENCY_BUCKETS, method=name
        )
        sizes = self._registry.histogram("kapelle_batch_rows", "Rows run together.", SIZE_BUCKETS, method=name)
        late = self._registry.counter("kapelle_calls_expired_total", "Calls whose deadline passed in the queue.")
        queue = Queue(execution, instance.value, batcher, durations, sizes, late)
        self._queues[shard, name] = queue
        self.runner.add(queue)

    def _stuck(self, reason: str) -> None:
        log.error("replica is stuck", reason=reason)
        self._set_state("stuck", reason)
        self._tell_unready(reason)
        for queue in self._queues.values():
            for entry in queue.batcher.flush():
                entry.key.refused("the replica is stuck")

    def _tell_unready(self, reason: str) -> None:
        for link in self._links:
            link.send(messages.Unready(reason))

    def _set_state(self, state: str, detail: str) -> None:
        self.state = state
        self.detail = detail
        self.on_state()


class _Link:
    """One gateway's connection and the calls that came over it."""

    def __init__(self, worker: Worker, connection: Connection) -> None:
        self.worker = worker
        self.connection = connection
        self._jobs: dict[int, Job] = {}
        self._streams: dict[int, Stream] = {}
        self._greeted = False

    def send(self, message: messages.FromReplica) -> None:
        self.connection.send(messages.encode(message))

    def welcome(self) -> None:
        """Tell the gateway what is served here, once both it and the instances are there."""
        worker = self.worker
        if self._greeted and worker.state == "ready":
            self.send(messages.Welcome(messages.PROTOCOL, worker.spec.name, worker.replica, worker.shards))

    def on_frames(self, frames: list[Frame]) -> None:
        try:
            for head, body in frames:
                message = _decode(head)
                if type(message) is messages.Call:
                    self._call(message, body)
                else:
                    self._other(message)
        except WireError as error:
            log.warning("a caller sent garbage and is cut off", reason=str(error))
            self.connection.abort()
        self.worker.runner.pump()

    def on_lost(self, reason: str) -> None:
        """The gateway is gone: nobody waits for its calls."""
        self.worker.forget(self)
        for job in list(self._jobs.values()):
            job.cancel()

    def _call(self, call: messages.Call, body: Buffer) -> None:
        worker = self.worker
        if worker.state != "ready" or worker.in_flight >= worker.limit:
            reason = "full" if worker.state == "ready" else worker.state
            worker.refusals.inc()
            self.send(messages.Refused(call.ticket, reason))
            return
        now = monotonic()
        context = RequestContext(call.request, call.trace, now + call.timeout)
        try:
            execution, instance = worker.find(call.shard, call.method)
            arguments = execution.decode(call.arguments, body, call.rows)
        except CallError as error:
            self.send(messages.Failed(call.ticket, error.code, error.detail, error.extra))
            return
        job = Job(call.ticket, arguments, context, self.connection, self._forget)
        worker.took()
        self._jobs[call.ticket] = job
        if execution.spec.kind == "stream":
            self._begin_stream(execution, instance, job)
            return
        size = len(memoryview(call.arguments)) + len(body)
        job.entry = Entry(job, call.rows, size, context.deadline)
        job.batcher = worker.queue(call.shard, call.method).batcher
        if not job.batcher.offer(job.entry, now):
            worker.refusals.inc()
            job.refused("full")

    def _other(self, message: messages.ToReplica) -> None:
        match message:
            case messages.Cancel(ticket):
                job = self._jobs.get(ticket)
                if job is not None:
                    job.cancel()
            case messages.Ping(number):
                self.send(messages.Pong(number))
            case messages.Credit(ticket, items):
                stream = self._streams.get(ticket)
                if stream is not None:
                    stream.grant(items)
            case messages.Hello(protocol, caller):
                self._hello(protocol, caller)

    def _hello(self, protocol: int, caller: str) -> None:
        if protocol != messages.PROTOCOL:
            error = ContractError(f"{caller} speaks protocol {protocol}, this replica {messages.PROTOCOL}: update the older")
            log.error("caller of another protocol", reason=error.detail)
            self.connection.close()
            return
        self._greeted = True
        self.welcome()

    def _begin_stream(self, execution: Execution, instance: Instance, job: Job) -> None:
        stream = self._streams[job.ticket] = Stream(execution, instance.value, job)
        job.task = asyncio.create_task(stream.run())
        job.task.add_done_callback(partial(self._stream_ended, job.ticket))

    def _stream_ended(self, ticket: int, _: object) -> None:
        self._streams.pop(ticket, None)

    def _forget(self, ticket: int) -> None:
        if self._jobs.pop(ticket, None) is not None:
            self.worker.answered()
