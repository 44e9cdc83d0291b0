"""`make run`: install, build an application's model and index, serve it.

Run as ``python -m scripts.run APP [OPTION OF kapelle serve]...``.

PORT is short for KAPELLE_PORT; all other variables reach the server as they are.
"""

from __future__ import annotations

import os
import sys

from scripts.apps import app_names
from scripts.environment import VENV
from scripts.prepare import serving
from scripts.steps import run_steps


def main(arguments: list[str]) -> None:
    """Prepare ``apps/<name>``, then become its server."""
    name, *options = arguments
    if name not in app_names():
        sys.exit(f"APP={name}: there is no folder apps/{name}; expected one of: {', '.join(app_names())}")
    run_steps(serving(name))
    if port := os.environ.get("PORT"):
        os.environ["KAPELLE_PORT"] = port
    kapelle = VENV / "bin" / "kapelle"
    # The server takes this process's place, so that Ctrl-C and SIGTERM reach it and nothing in between.
    os.execv(kapelle, [str(kapelle), "serve", f"apps/{name}", *options])


if __name__ == "__main__":
    main(sys.argv[1:])
