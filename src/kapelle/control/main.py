"""``kapelle serve``: a controller in the foreground. The only place of the controller that chooses adapters."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import uvloop

from kapelle.control.controller import Controller
from kapelle.control.plan import Plan
from kapelle.control.rundir import RunDir
from kapelle.errors import StartError

Say = Callable[[str], None]


def serve(plan: Plan, run: RunDir, *, on_progress: Say, on_ready: Callable[[Controller], None]) -> int:
    """Run the plan until SIGINT or SIGTERM; the exit code.

    Raises:
        StartError: the system did not start.
    """
    return uvloop.run(_serve(plan, run, on_progress, on_ready))


async def _serve(plan: Plan, run: RunDir, on_progress: Say, on_ready: Callable[[Controller], None]) -> int:
    controller = Controller(plan, run, on_progress)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(again: Callable[[], None] = controller.kill_all) -> None:
        if stop.is_set():
            on_progress("ending everything at once")
            again()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    await controller.start()
    waits = {
        name: asyncio.create_task(event.wait())
        for name, event in (("stop", stop), ("ready", controller.ready), ("failed", controller.failed))
    }
    await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
    failure = ""
    if controller.ready.is_set():
        on_ready(controller)
        await waits["stop"]
    elif controller.failed.is_set():
        failure = "; ".join(
            f"{name}: {process.life.reason}"
            for name, process in controller.processes.items()
            if process.life.crash_looping
        )
    for task in waits.values():
        task.cancel()
    on_progress("draining: finishing what runs (press Ctrl-C again to end at once)")
    clean = await controller.stop()
    if failure:
        raise StartError(f"the system did not start: {failure}; the log above says why")
    on_progress("stopped; nothing was left behind" if clean else "stopped; some work did not finish in time")
    return 0
