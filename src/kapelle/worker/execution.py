"""Running user code: what is known of a method at start-up, and how one batch of jobs is run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from kapelle.clock import monotonic
from kapelle.core.isolate import isolate, row_count_error
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.methods import MethodSpec
from kapelle.declare.parameters import record_type
from kapelle.errors import ContractError, DeadlineExceeded, InvalidInput, WireError
from kapelle.tasks import is_stopped
from kapelle.types.arrays import is_array_type
from kapelle.types.octets import received_as
from kapelle.wire.body import Body
from kapelle.wire.payload import Packer, Payload, Unpacker
from kapelle.worker.job import Job

_SHOWN_REQUESTS = 8

_NOT_RUN = object()

ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit)
"""What is meant for the process, or for a coroutine that is closed. All else that user code raises is a failure of its
call: a panic of code in Rust is no ``Exception`` in Python either."""

Steps = Generator[Any, Any, list[Any]]
"""Yields batches for user code, is sent what it returned or the exception it raised, returns one outcome per job."""


class Execution:
    """One method of a service, ready to run. ``function`` takes the instance first."""

    def __init__(self, spec: MethodSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.function = spec.function
        signature = spec.signature
        self._packer = Packer(signature.item if spec.kind == "stream" else signature.returns)
        self._stacked = spec.kind == "batched" and is_array_type(spec.signature.parameters[0].annotation)
        self._unpack: Unpacker
        if spec.kind == "batched":
            # Rows travel as a list of rows, whatever the batch looks like to user code.
            self._unpack = Unpacker(list[spec.row])  # type: ignore[name-defined]  # the row type is known at run time only
        else:
            parameters = [replace(one, annotation=received_as(one.annotation)) for one in signature.parameters]
            self._unpack = Unpacker(record_type(spec.name, parameters, array_like=True))
        declared = [] if spec.kind == "batched" else enumerate(signature.parameters)
        self._shapes = [(at, one.tensor, f"$.{one.name}") for at, one in declared if one.tensor is not None]
        self._row = spec.row_tensor
        self._rows_name = signature.names[0] if self._row is not None else ""

    def decode(self, arguments: msgspec.Raw, body: Body, rows: int) -> Sequence[Any]:
        """The arguments of one call, checked; for a batched method, its rows.

        Raises:
            InvalidInput: they are not what the signature says.
            Exception: whatever the users' own types raise when they are made.
        """
        try:
            values = self._unpack(arguments, body)
        except WireError as error:
            raise InvalidInput(f"{self.name}: {error.detail}") from None
        if self.spec.kind != "batched":
            values = msgspec.structs.astuple(values)
        for index, tensor, path in self._shapes:
            tensor.check(values[index], path)
        if self._row is not None:
            for row in values:
                self._row.check(row, f"$.{self._rows_name}")
        expected = len(values) if self.spec.kind == "batched" else 1
        if rows != expected or not rows:
            raise InvalidInput(f"{self.name}: a call of {rows} rows brought {expected}")
        return values  # type: ignore[no-any-return]  # as decoded

    def pack(self, value: Any) -> Payload:
        """``value``, which user code has returned, as a payload.

        Raises:
            ContractError: it cannot travel.
            Exception: whatever the users' own types raise when they are encoded.
        """
        try:
            return self._packer(value)
        except InvalidInput as error:
            if inspect.iscoroutine(value):
                value.close()
                raise ContractError(f"{self.name} returned a coroutine; declare it `async def`") from None
            raise ContractError(f"{self.name} returned what cannot travel: {error.detail}") from None

    def run_one(self, instance: Any, job: Job) -> Any:
        """Run a sync method once: its result, or the exception it raised."""
        enter_request(job.context)
        return _attempt(self.function, instance, *job.arguments)

    async def run_one_async(self, instance: Any, job: Job) -> Any:
        """As ``run_one``, for an ``async def`` method."""
        enter_request(job.context)
        try:
            return await self.function(instance, *job.arguments)
        except asyncio.CancelledError as error:
            return cancelled_by_itself(error)
        except ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
            return error

    def run_batch(self, instance: Any, jobs: list[Job]) -> list[Any]:
        """Run a sync batched method: one outcome per job, its rows or an exception."""
        enter_request(_shared_context(jobs))
        steps = self._steps(jobs)
        batch = next(steps)
        try:
            while True:
                batch = steps.send(_attempt(self.function, instance, batch))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what a generator returns

    async def run_batch_async(self, instance: Any, jobs: list[Job]) -> list[Any]:
        """As ``run_batch``, for an ``async def`` method."""
        enter_request(_shared_context(jobs))
        steps = self._steps(jobs)
        batch = next(steps)
        try:
            while True:
                try:
                    result = await self.function(instance, batch)
                except asyncio.CancelledError as error:
                    result = cancelled_by_itself(error)
                except ENDS:
                    raise
                except BaseException as error:  # noqa: BLE001 - user code may raise anything; the callers get it
                    result = error
                batch = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what a generator returns

    def _steps(self, jobs: list[Job]) -> Steps:
        rows = jobs[0].arguments if len(jobs) == 1 else [row for job in jobs for row in job.arguments]
        parts = self._parts(rows)
        first: Any = _NOT_RUN
        if len(parts) == 1:
            first = yield self._batch(rows)
            if not isinstance(first, BaseException) and row_count_error(first, len(rows), self.name) is None:
                return _shares(first, jobs)
        outcomes: list[Any] = [None] * len(rows)
        owners = [job for job in jobs for _ in job.arguments]
        for part in parts:
            found = yield from self._isolated(rows, part, owners, first)
            for index, outcome in zip(part, found, strict=True):
                outcomes[index] = outcome
        return _shares(outcomes, jobs)

    def _isolated(self, rows: Sequence[Any], part: Sequence[int], owners: list[Job], first: Any) -> Steps:
        """Run the rows of ``part``; ``first`` is what came of all of them together, if they were run already."""
        steps = isolate(len(part), self.name)
        group = next(steps)
        result = first
        try:
            while True:
                if result is _NOT_RUN:
                    owner = owners[part[group[0]]]
                    if len(group) == 1 and (owner.abandoned or owner.deadline <= monotonic()):
                        result = DeadlineExceeded("the deadline passed before the row had its turn to run alone")
                    else:
                        result = yield self._batch([rows[part[index]] for index in group])
                group = steps.send(result)
                result = _NOT_RUN
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what a generator returns

    def _batch(self, rows: Sequence[Any]) -> Any:
        if not self._stacked:
            # A list of its own, which user code may take apart: whose rows they are is still looked up afterwards.
            return list(rows)
        # One row alone is not copied. What may lie in memory that others see is not to be written to; then nothing is.
        batch = rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)
        batch.flags.writeable = False
        return batch

    def _parts(self, rows: Sequence[Any]) -> list[Sequence[int]]:
        """Which rows may stand in one batch: all of them, but arrays only where shape and dtype are the same."""
        if not self._stacked:
            return [range(len(rows))]
        kinds: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            kinds.setdefault((row.shape, row.dtype), []).append(index)
        return list(kinds.values())


def _attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except asyncio.CancelledError as error:
        return cancelled(error)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - user code may raise anything; the callers get it
        return error


def cancelled_by_itself(error: asyncio.CancelledError) -> Exception:
    """What a cancellation within user code means: a failure like others.

    Raises:
        CancelledError: it is the running task that is being stopped, from outside.
    """
    if is_stopped():
        try:
            raise error
        finally:
            del error  # it has this frame, which would have it
    return cancelled(error)


def cancelled(error: asyncio.CancelledError | None) -> Exception:
    """The failure that a cancellation is to the caller."""
    failure = RuntimeError("something that the method waited for was cancelled")
    failure.__cause__ = error
    return failure


def _shares(result: Any, jobs: list[Job]) -> list[Any]:
    """The share of each job in a batch's result; an exception among a job's rows fails that job."""
    shares: list[Any] = []
    start = 0
    plain = isinstance(result, np.ndarray)
    if not plain and type(result) is not list:
        result = list(result)  # not every sequence can be cut, a deque cannot
    clean = plain or not any(isinstance(row, BaseException) for row in result)
    for job in jobs:
        end = start + len(job.arguments)
        share = result[start:end]
        if not clean:
            share = next((row for row in share if isinstance(row, BaseException)), share)
        shares.append(share)
        start = end
    return shares


def _shared_context(jobs: list[Job]) -> RequestContext:
    """The context of a batch: its log lines name every request in it, up to a handful."""
    first = jobs[0].context
    if len(jobs) == 1:
        return first
    names = ",".join([job.context.id for job in jobs[:_SHOWN_REQUESTS]])
    more = f",+{len(jobs) - _SHOWN_REQUESTS}" if len(jobs) > _SHOWN_REQUESTS else ""
    return RequestContext(names + more, "", min([job.context.deadline for job in jobs]), first.release)
