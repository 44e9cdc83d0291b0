"""System packages that the tests ask for by name. The product itself needs none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.environment import STAMPS
from scripts.steps import Step, digest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Programs that can open the documentation page in its tests, the first found is taken."""


def browser_step() -> Step:
    """Install Chromium with apt, where none is there and this user may; without a browser its tests are skipped."""
    may_install = shutil.which("apt-get") is not None and os.geteuid() == 0
    present = any(shutil.which(name) for name in BROWSERS)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    return Step(
        title="Installing the system package chromium, which the tests of the documentation page open",
        stamp=STAMPS / "browser",
        digest=digest("chromium"),
        commands=[["apt-get", "update"], install] if may_install and not present else [],
        product=Path("/usr/bin/chromium"),
    )
