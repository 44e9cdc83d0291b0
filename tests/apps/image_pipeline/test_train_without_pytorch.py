"""Who has not installed what training needs is told so, and how to."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import runpy, sys

sys.modules["torch"] = None  # importing it raises what a missing module does
runpy.run_module("apps.image_pipeline.train", run_name="__main__")
"""


def test_what_is_missing_is_named_and_how_to_install_it() -> None:
    found = subprocess.run([sys.executable, "-c", WITHOUT, "--help"], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr == (
        "error: torch is not installed; training needs it: "
        "pip install -r apps/image_pipeline/training/requirements.txt\n"
    )
