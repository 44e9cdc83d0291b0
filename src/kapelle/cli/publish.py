"""``kapelle release publish``, ``rollback`` and ``cancel``: wishes that the controller of a running system grants."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from kapelle.cli.project import find_running
from kapelle.clock import monotonic
from kapelle.core.rollout_messages import Outcome
from kapelle.errors import ConfigError, KapelleError
from kapelle.transport import sockets
from kapelle.wire import messages, wishes
from kapelle.wire.frames import Frame

_NOT_DONE = 1
_COLOURS = {
    Outcome.COMMITTED.value: "green",
    Outcome.UNCHANGED.value: "green",
    Outcome.REFUSED.value: "red",
    Outcome.ROLLED_BACK.value: "yellow",
}

_decode = messages.Decoder[wishes.FromController](wishes.FromController)


class NoController(KapelleError):
    """The system runs without a controller."""

    code = "no-controller"


def run_publish(release: str, target: str | None, run_dir: str | None, *, canary: str = "", shadow: str = "") -> int:
    """Publish a release; the exit status is 0 when it is the current one in the end."""
    if canary and shadow:
        raise ConfigError("--canary and --shadow exclude each other: its answers are sent, or compared")
    share = _share(canary, "--canary") or _share(shadow, "--shadow")
    over = _wish(wishes.Publish(release, share, bool(shadow)), target, run_dir, f"`kapelle release publish {release}`")
    return 0 if over.outcome in (Outcome.COMMITTED, Outcome.UNCHANGED) else _NOT_DONE


def run_rollback(target: str | None, run_dir: str | None) -> int:
    """Go back to the release before; the exit status is 0 when that is the current one in the end."""
    over = _wish(wishes.Rollback(), target, run_dir, "`kapelle release rollback`")
    return 0 if over.outcome in (Outcome.COMMITTED, Outcome.ROLLED_BACK) else _NOT_DONE


def run_cancel(target: str | None, run_dir: str | None) -> int:
    """Give up the publish that runs; the exit status is 0 when it was given up."""
    over = _wish(wishes.CancelPublish(), target, run_dir, "`kapelle release cancel`")
    return 0 if over.outcome == Outcome.REFUSED else _NOT_DONE


def _share(text: str, option: str) -> float:
    """A part of the requests: ``5%`` or ``0.05``."""
    number = text.removesuffix("%")
    try:
        share = float(number) / 100 if text.endswith("%") else float(number or 0)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1 or (text and not share):
        raise ConfigError(f"{option} is {text!r}; expected a part of the requests, such as 5% or 0.05")
    return share


def _wish(wish: wishes.ToController, target: str | None, run_dir: str | None, again: str) -> wishes.Over:
    running = find_running(target, run_dir)
    console = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    began = monotonic()

    def say(text: str) -> None:
        console.print(Text.assemble((f"{monotonic() - began:6.1f} s  ", "dim"), text))

    try:
        over = asyncio.run(_ask(running.run.controller, wish, say))
    except OSError as error:
        raise NoController(
            f"the controller of {running.target} does not answer ({error}); what runs goes on. "
            f"`kapelle serve {running.target}` takes it over, then repeat {again}"
        ) from None
    except KeyboardInterrupt:
        console.print("nobody watches any more, but it goes on; `kapelle release cancel` gives it up")
        raise
    what = over.release or "denied"
    outcome = over.outcome if over.release else ""
    say_end = Text.assemble(
        (what, "bold"), " " if outcome else "", (outcome, _COLOURS.get(outcome, "red")), f": {over.reason}"
    )
    console.print(say_end)
    return over


async def _ask(address: str, wish: wishes.ToController, say: Callable[[str], None]) -> wishes.Over:
    ended: asyncio.Future[wishes.Over] = asyncio.get_running_loop().create_future()

    def on_frames(frames: list[Frame]) -> None:
        for frame in frames:
            message = _decode(frame.head)
            if isinstance(message, wishes.Told):
                say(message.text)
            elif isinstance(message, wishes.Over) and not ended.done():
                ended.set_result(message)

    def on_lost(reason: str) -> None:
        if not ended.done():
            ended.set_exception(ConnectionError(f"it has gone: {reason}"))

    connection = await sockets.connect(sockets.Address.parse(address))
    try:
        connection.start(on_frames, on_lost)
        connection.send(messages.encode(wish))
        return await ended
    finally:
        connection.abort()
