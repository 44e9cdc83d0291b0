"""The standard streams of a command, whatever it was started with and whoever reads what it prints."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


def settle_streams() -> None:
    """Have all three of them, and none that stumbles over a character.

    Whoever starts a command may have closed some of them. Their numbers would go to the next sockets then, and the event
    loop ends the program when it closes one that is so low. And what is printed may have characters that a terminal lacks.
    """
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the program runs
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    for written in (sys.stdout, sys.stderr):
        if isinstance(written, io.TextIOWrapper):
            written.reconfigure(errors="backslashreplace")


def explained(error: OSError) -> str:
    """What a person is told of an error of the system that nobody has expected: "" when nobody reads any more."""
    from kapelle.observe.logs import SteadyStream

    SteadyStream(sys.stdout).flush()
    if isinstance(error, BrokenPipeError):
        return ""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "kapelle: the folder that this runs in has been removed; change to another one"
    return f"kapelle: {error}"
