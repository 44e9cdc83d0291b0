"""Asking an edition its golden queries, before it gets traffic."""

from __future__ import annotations

import asyncio
import linecache
import traceback

import structlog

from kapelle.clock import monotonic
from kapelle.declare.apps import AppSpec
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.golden import GoldenSpec
from kapelle.errors import DeadlineExceeded, KapelleError, legible
from kapelle.gateway.edition import Edition
from kapelle.ids import random_id
from kapelle.tasks import is_stopped

log = structlog.get_logger()

_LONGEST = 400


async def ask(edition: Edition, spec: AppSpec) -> str | None:
    """Run the golden queries one after the other; the first failure in a line, or None.

    They see the edition's release in every service, as its requests will. What they call ``kapelle.quality`` with is not
    counted: it would be said of the same answers for every release.
    """
    for golden in spec.golden:
        # A task of its own, so that the request it makes is not seen outside.
        error = await asyncio.create_task(_run(edition, golden))
        if error is not None:
            log.error("golden query failed", golden=golden.name, release=edition.release, exc_info=error)
            return f"{golden.name}: {_in_a_line(error)}"
    return None


async def _run(edition: Edition, golden: GoldenSpec) -> BaseException | None:
    """What the golden query ended with, if not well."""
    enter_request(RequestContext(f"golden-{random_id(8)}", "", monotonic() + golden.timeout, edition.release))
    edition.running += 1
    limit = asyncio.timeout(golden.timeout)
    failure: BaseException | None = None
    try:
        async with limit:
            await getattr(edition.app, golden.name)()
    except BaseException as error:  # user code may raise anything, pytest's failures too, and may not end the gateway
        if is_stopped():
            raise
        failure = error
    finally:
        edition.leave()
    if limit.expired():
        late = DeadlineExceeded(f"no answer within {golden.timeout:g} s")
        # The log tells what it was doing then.
        late.__cause__ = failure
        return late
    return failure


def _in_a_line(error: BaseException) -> str:
    if isinstance(error, KapelleError):
        return legible(error.detail, _LONGEST)
    text = "".join(traceback.format_exception_only(error)).rstrip()
    if isinstance(error, AssertionError) and ":" not in text:
        text = f"{text}: {_source(error)}"
    return legible(text, _LONGEST)


def _source(error: AssertionError) -> str:
    """The code that raised the error; the expression alone where an ``assert`` goes over several lines."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    first, last = frame.lineno or 0, frame.end_lineno or 0
    return "".join(linecache.getline(frame.filename, number) for number in range(first, last + 1))
