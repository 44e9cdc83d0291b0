"""``running`` and ``running_processes``: the two names a test needs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kapelle.config.settings import Settings, checked
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.errors import DeclarationError, StartError
from kapelle.testing.memory import MemorySystem
from kapelle.testing.processes import ProcessSystem

_PROCESSES = ("kapelle.gateway.main", "kapelle.worker.main")
"""As what the processes of a system run that import its app."""


@asynccontextmanager
async def running(app: type, *, artifacts: Path | None = None, **settings: Any) -> AsyncIterator[MemorySystem]:
    """A whole system in this process, for the length of an ``async with``.

    The gateway listens on a free loopback port; services run behind real encoding, so what works here works with
    processes. ``settings`` are those of a real system, written in the same way.

    Raises:
        ConfigError: a setting is unknown or of the wrong form.
    """
    system = MemorySystem(_spec(app), _settings(settings, "running"), artifacts or Path("artifacts"))
    try:
        await system.start()
        yield system
    finally:
        await system.stop()


@asynccontextmanager
async def running_processes(
    app: type, *, artifacts: Path | None = None, target: str | None = None, **settings: Any
) -> AsyncIterator[ProcessSystem]:
    """A whole system of real processes, for the length of an ``async with``.

    The processes import the app by its file; name ``target`` where that is not enough. ``settings`` are as for ``running``.

    Raises:
        ConfigError: a setting is unknown or of the wrong form.
        StartError: a process of such a system has come here by importing the app's file.
    """
    spec = _spec(app)
    file = inspect.getfile(app)
    _refuse_inside_another(file)
    made = _settings(settings, "running_processes")
    system = ProcessSystem(target or f"{file}:{spec.name}", spec, made, artifacts or Path("artifacts"))
    await system.start()
    try:
        yield system
    finally:
        await system.stop()


def _spec(app: type) -> AppSpec:
    spec = app_spec(app)
    if spec is None:
        raise DeclarationError(f"{app!r} is not an app; declare it with @kapelle.app")
    return spec


def _settings(given: dict[str, Any], source: str) -> Settings:
    return checked({"port": 0, "access_log": False, **given}, source)


def _refuse_inside_another(file: str) -> None:
    """Each process imports the app's file: one that starts a system of processes there would do so without end."""
    running_as = getattr(sys.modules["__main__"].__spec__, "name", "")
    if running_as in _PROCESSES:
        raise StartError(
            f"a process of the system has imported {file}, and that starts another system; put what does so below "
            '`if __name__ == "__main__":`, or into a test'
        )
