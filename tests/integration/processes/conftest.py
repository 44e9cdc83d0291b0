"""Every scenario has an end: one that hangs is cancelled, so that it takes its processes down with it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from pathlib import Path
from typing import Any

import pytest

LONGEST = 50.0
"""Seconds; a time-out by signal would not be seen by an event loop that waits for its sockets."""
MARGIN = 10.0
"""Seconds by which a scenario ends before a time-out that it names itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each coroutine of this folder a time-out of its own."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.is_relative_to(Path(__file__).parent):
            function = item.obj
            if inspect.iscoroutinefunction(function):
                marker = item.get_closest_marker("timeout")
                item.obj = _bounded(function, LONGEST if marker is None else marker.args[0] - MARGIN)


def _bounded(function: Any, longest: float) -> Any:
    @functools.wraps(function)
    async def bounded(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(longest):
            await function(*arguments, **named)

    return bounded
