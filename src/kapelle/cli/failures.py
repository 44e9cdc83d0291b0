"""What a person sees when his app cannot be imported: his own code, and nothing of ours."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

import kapelle
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError, KapelleError

_OURS = str(Path(kapelle.__file__).parent)


def load_app(target: Target) -> AppSpec:
    """Import the app.

    Raises:
        DeclarationError: it is declared in a way that cannot work (the message names the line), or importing it failed
            (the message is the traceback, from the app's own first line on).
    """
    here = Path.cwd()
    try:
        return target.load()
    except KapelleError as error:
        place = _last_line(_own_frames(error.__traceback__))
        raise DeclarationError(f"{place}{error.detail}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - importing runs the app's own code, which may raise anything, SystemExit too
        own = _own_frames(error.__traceback__)
        text = "".join(traceback.format_exception(type(error), error, own)).rstrip()
        raise DeclarationError(f"{target.text} cannot be imported:\n{text}") from None
    finally:
        # Modules may change to their own folder; what paths of a command line mean does not change with that.
        os.chdir(here)


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is neither ours nor the import system's."""
    while trace is not None and _is_foreign(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _is_foreign(file: str) -> bool:
    return file.startswith((_OURS, "<frozen importlib")) or file.endswith("importlib/__init__.py")


def _last_line(own: TracebackType | None) -> str:
    """``"app.py:12: "`` for the innermost line of the app's own code; "" when it was none's."""
    frames = [frame for frame in traceback.extract_tb(own) if not _is_foreign(frame.filename)]
    if not frames:
        return ""
    file = Path(frames[-1].filename)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{shown}:{frames[-1].lineno}: "
