"""What all tests share: the event loop of production, and Hypothesis's profiles."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from datetime import timedelta

import hypothesis
import uvloop

# Tests fork beside clients of gRPC, and stood still for a minute in what that does at forks. Each fork here begins another
# program at once, for which gRPC says to switch it off (https://github.com/grpc/grpc/pull/14870).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

# A shared or loaded machine is no reason for a property to fail; in CI every run tries the same examples.
hypothesis.settings.register_profile("local", deadline=timedelta(seconds=5))
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Coroutine tests run on uvloop, as everything does in production."""
    return {"uvloop": uvloop.new_event_loop}
