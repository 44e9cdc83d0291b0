"""``kapelle serve``: a controller in the foreground. The only place of the controller that chooses adapters."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import uvloop

from kapelle.control.beginning import Arrangement
from kapelle.control.controller import Controller
from kapelle.control.rundir import RunDir
from kapelle.errors import StartError
from kapelle.observe.logs import SteadyStream

Say = Callable[[str], None]
T = TypeVar("T")


def serve(what: Arrangement, run: RunDir, *, on_progress: Say, on_ready: Callable[[Controller], None]) -> int:
    """Run what was arranged until SIGINT, SIGTERM or SIGHUP; the exit code.

    Raises:
        StartError: the system did not start.
    """
    return uvloop.run(_serve(what, run, _steady(on_progress), on_ready))


async def _serve(what: Arrangement, run: RunDir, say: Say, on_ready: Callable[[Controller], None]) -> int:
    controller = Controller(what.plan, run, say, what.conductor, what.beside)
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            say("ending everything at once")
            controller.kill_all()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the end of the terminal is to be ignored.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, asked)
    await controller.start()
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(controller.ready_or_failed())
    await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
    failure = controller.failure
    if controller.ready:
        _steady(on_ready)(controller)
    if not failure:
        await stopping
    stopping.cancel()
    starting.cancel()
    say("draining: finishing what runs (press Ctrl-C again to end at once)")
    outcomes = await controller.stop()
    if failure:
        raise StartError(f"the system did not start: {failure}; the log above says why")
    say(f"stopped; some work did not finish: {'; '.join(outcomes)}" if outcomes else "stopped; nothing was left behind")
    return 1 if outcomes else 0


def _steady(tell: Callable[[T], None]) -> Callable[[T], None]:
    """``tell``, but whether anybody can still read it does not matter: the terminal may be gone, and the drain must go on."""

    def told(what: T) -> None:
        try:
            tell(what)
        except (OSError, SystemExit):  # rich ends the program when its reader has gone
            SteadyStream(sys.stdout).flush()

    return told
