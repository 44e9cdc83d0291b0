from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apps.question_search import stamp

ROOT = Path(stamp.__file__).parents[2]
# Imported by the build, but none of these shapes a byte of the artifacts.
WITHOUT_EFFECT = {"errors.py", "progress.py", "report.py", "stamp.py"}


def test_all_code_that_the_build_runs_counts() -> None:
    program = "import sys, apps.question_search.build; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    prefix = "apps.question_search."
    ours = {f"{name.removeprefix(prefix)}.py" for name in modules.stdout.split() if name.startswith(prefix)}
    assert ours - WITHOUT_EFFECT == set(stamp.CODE)


def test_whatever_shapes_the_artifacts_changes_the_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = stamp.stamp("digest", 8, 0, "int8")
    assert stamp.stamp("digest", 8, 0, "int8") == first
    inputs = ("other", 8, 0, "int8"), ("digest", 9, 0, "int8"), ("digest", 8, 1, "int8"), ("digest", 8, 0, "float32")
    others = {stamp.stamp(*one) for one in inputs}
    monkeypatch.setattr(stamp, "WEIGHTS_SHA256", "other")
    others.add(stamp.stamp("digest", 8, 0, "int8"))
    monkeypatch.undo()
    monkeypatch.setattr(stamp, "version", lambda name: "0.0")
    others.add(stamp.stamp("digest", 8, 0, "int8"))
    monkeypatch.undo()
    for name in stamp.CODE:
        (tmp_path / name).write_bytes((Path(stamp.__file__).parent / name).read_bytes() + b"\n")
    monkeypatch.setattr(stamp, "__file__", str(tmp_path / "stamp.py"))
    others.add(stamp.stamp("digest", 8, 0, "int8"))
    assert len(others - {first}) == 7
