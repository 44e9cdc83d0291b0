"""`make update-demo`: prepare what `make run` prepares, then show an update under load.

Run as ``python -m scripts.update_demo [OPTION OF apps.question_search.demo]...``.
"""

from __future__ import annotations

import os
import sys

from scripts.environment import PYTHON
from scripts.prepare import serving
from scripts.steps import ROOT, run_steps

APP = "question_search"


def main(options: list[str]) -> None:
    """Prepare the application, then become its demonstration."""
    run_steps(serving(APP))
    os.chdir(ROOT)
    # It takes this process's place, so that Ctrl-C and SIGTERM reach it and nothing in between.
    os.execv(PYTHON, [str(PYTHON), "-m", f"apps.{APP}.demo", *options])


if __name__ == "__main__":
    main(sys.argv[1:])
