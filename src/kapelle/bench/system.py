"""A system of Kapelle's for the length of a measurement: real processes, with nothing left of them afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.control.controller import Controller
from kapelle.control.plan import Stock, make_plan
from kapelle.control.rundir import RunDir
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError
from kapelle.ids import random_id

_DRAIN = 5.0
_PREFIX = "kapelle-bench-"


def quiet(settings: Settings, **changes: Any) -> Settings:
    """The same settings, for a system that nobody else is to find, and that says only what is wrong."""
    return msgspec.structs.replace(
        settings, host="127.0.0.1", port=0, grpc_port=-1, tls_certificate="", tls_key="", release=LOCAL,
        access_log=False, log_level="error", drain_timeout=_DRAIN, **changes,
    )  # fmt: skip


@asynccontextmanager
async def running(target: str, spec: AppSpec, settings: Settings, artifacts: Path) -> AsyncIterator[Controller]:
    """The app, served from its folder of artifacts.

    Raises:
        ArtifactError: an artifact is not there.
        StartError: a process keeps crashing.
    """
    with temporary_folder() as folder:
        plan = make_plan(target, spec, settings, Stock(artifacts))
        controller = Controller(plan, RunDir(folder / "run"), lambda _: None)
        try:
            await controller.start()
            if not await controller.ready_or_failed():
                raise StartError(f"{spec.name} did not start: {controller.failure}; the log above says why")
            yield controller
        finally:
            await controller.stop()


def pids_of(controller: Controller) -> Callable[[], list[int]]:
    """The numbers of the processes that run now, each time it is asked."""
    return lambda: [process.pid for process in controller.processes.values() if process.pid]


@contextmanager
def temporary_folder(below: Path | None = None) -> Iterator[Path]:
    """A folder that goes away with all that is in it."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=below, ignore_cleanup_errors=True) as name:
        yield Path(name)


def written_app(folder: Path, code: str) -> str:
    """A file that declares an app, as a target. Its module has a name that no other one has in this process."""
    file = folder / f"measured_{random_id(8)}.py"
    file.write_text(code + "\n", encoding="utf-8")
    return str(file)
