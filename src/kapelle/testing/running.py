"""``running`` and ``running_processes``: the two names a test needs."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.errors import DeclarationError
from kapelle.testing.memory import MemorySystem
from kapelle.testing.processes import ProcessSystem


@asynccontextmanager
async def running(app: type, *, artifacts: Path | None = None, **settings: Any) -> AsyncIterator[MemorySystem]:
    """A whole system in this process, for the length of an ``async with``.

    The gateway listens on a free loopback port; services run behind real encoding, so what works here works with
    processes. ``settings`` are fields of ``kapelle.config.settings.Settings``.
    """
    system = MemorySystem(_spec(app), _settings(settings), artifacts or Path("artifacts"))
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

    The processes import the app by its file; name ``target`` where that is not enough.
    """
    spec = _spec(app)
    system = ProcessSystem(
        target or f"{inspect.getfile(app)}:{spec.name}", spec, _settings(settings), artifacts or Path("artifacts")
    )
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


def _settings(given: dict[str, Any]) -> Settings:
    return msgspec.convert({"port": 0, "access_log": False, **given}, Settings)
