"""Running user code: what is known of a method at start-up, and how one batch of jobs is run and answered."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any

import msgspec
import numpy as np

from kapelle.core.isolate import isolate, row_count_error
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.methods import MethodSpec
from kapelle.declare.parameters import record_type
from kapelle.errors import InvalidInput, WireError
from kapelle.types.arrays import is_array_type
from kapelle.wire.frames import Buffer
from kapelle.wire.payload import Packer, Unpacker
from kapelle.worker.job import Job

_SHOWN_REQUESTS = 8


class Execution:
    """One method of a service, ready to run. ``function`` takes the instance first."""

    def __init__(self, spec: MethodSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.function = spec.function
        self.packer = Packer()
        self._stacked = spec.kind == "batched" and is_array_type(spec.signature.parameters[0].annotation)
        if spec.kind == "batched":
            # Rows travel as a list of rows, whatever the batch looks like to user code.
            self._unpack_rows = Unpacker(list[spec.row])  # type: ignore[name-defined]  # the row type is known at run time only
        else:
            record = record_type(spec.name, spec.signature.parameters, array_like=True)
            self._unpack_record = Unpacker(record)

    def decode(self, arguments: msgspec.Raw, body: Buffer, rows: int) -> tuple[Any, ...]:
        """The arguments of one call, checked; for a batched method, its rows.

        Raises:
            InvalidInput: they are not what the signature says.
        """
        if self.spec.kind != "batched":
            return msgspec.structs.astuple(self._unpack_record(arguments, body))
        values = self._unpack_rows(arguments, body)
        if len(values) != rows or not rows:
            raise WireError(f"a call of {rows} rows brought {len(values)}")
        return tuple(values)

    def run(self, instance: Any, jobs: list[Job]) -> list[Any]:
        """Run sync user code for ``jobs``: one outcome each. Does not touch the event loop; any thread may call it."""
        if self.spec.kind != "batched":
            return [self._run_one(instance, job) for job in jobs]
        enter_request(_shared_context(jobs))
        rows = [row for job in jobs for row in job.arguments]
        result = _attempt(self.function, instance, self._batch(rows, range(len(rows))))
        if not isinstance(result, Exception) and row_count_error(result, len(rows), self.name) is None:
            return _slices(result, jobs)
        steps = isolate(len(rows), self.name)
        group = next(steps)
        try:
            while True:
                group = steps.send(result)
                result = _attempt(self.function, instance, self._batch(rows, group))
        except StopIteration as end:
            return _slices(end.value, jobs)

    async def run_async(self, instance: Any, jobs: list[Job]) -> list[Any]:
        """As ``run``, for ``async def`` methods."""
        if self.spec.kind != "batched":
            (job,) = jobs
            enter_request(job.context)
            try:
                return [await self.function(instance, *job.arguments)]
            except Exception as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
                return [error]
        enter_request(_shared_context(jobs))
        rows = [row for job in jobs for row in job.arguments]
        steps: Generator[list[int], Any, list[Any]] = isolate(len(rows), self.name)
        group = next(steps)
        try:
            while True:
                try:
                    result: Any = await self.function(instance, self._batch(rows, group))
                except Exception as error:  # noqa: BLE001 - as above
                    result = error
                group = steps.send(result)
        except StopIteration as end:
            return _slices(end.value, jobs)

    def answer(self, jobs: list[Job], outcomes: list[Any]) -> None:
        """Send each job its outcome."""
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                job.failed(outcome)
            else:
                job.done(self.packer, outcome)

    def _run_one(self, instance: Any, job: Job) -> Any:
        enter_request(job.context)
        try:
            result = self.function(instance, *job.arguments)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
            return error
        if inspect.isawaitable(result):
            return InvalidInput(f"{self.name} returned an awaitable; declare it `async def`")
        return result

    def _batch(self, rows: list[Any], group: Any) -> Any:
        chosen = rows if len(group) == len(rows) else [rows[index] for index in group]
        return np.stack(chosen) if self._stacked else chosen


def _attempt(function: Any, instance: Any, batch: Any) -> Any:
    try:
        return function(instance, batch)
    except Exception as error:  # noqa: BLE001 - user code may raise anything; the rows are isolated and the callers get it
        return error


def _slices(result: Any, jobs: list[Job]) -> list[Any]:
    """The share of each job in a batch's result; an exception among a job's rows fails that job."""
    outcomes: list[Any] = []
    start = 0
    is_array = isinstance(result, np.ndarray)
    for job in jobs:
        end = start + len(job.arguments)
        rows = result[start:end]
        outcomes.append(rows if is_array else _first_error(rows) or list(rows))
        start = end
    return outcomes


def _first_error(rows: Any) -> Exception | None:
    for row in rows:
        if isinstance(row, Exception):
            return row
    return None


def _shared_context(jobs: list[Job]) -> RequestContext:
    """The context of a batch: its log lines name every request in it, up to a handful."""
    first = jobs[0].context
    if len(jobs) == 1:
        return first
    names = ",".join(job.context.id for job in jobs[:_SHOWN_REQUESTS])
    more = f",+{len(jobs) - _SHOWN_REQUESTS}" if len(jobs) > _SHOWN_REQUESTS else ""
    return RequestContext(names + more, "", min(job.context.deadline for job in jobs))
