"""The virtual environment in .venv: the package and the tools of its checks."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

from scripts.steps import ROOT, Step, digest

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"  # inside .venv: they vanish with what they vouch for
PIP = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]


def venv_step() -> Step:
    """Make .venv from the interpreter that runs this, or from the one that .venv was made from if it is .venv's own."""
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return Step(
        title=f"Making .venv with Python {sys.version.split()[0]}",
        stamp=STAMPS / "venv",
        digest=digest(str(base.resolve()), sys.version),
        commands=[[str(base), "-m", "venv", "--clear", str(VENV)]],
        product=PYTHON,
    )


def package_step(venv: Step) -> Step:
    """Install the package, editable, and what it depends on."""
    return Step(
        title="Installing kapelle and its dependencies",
        stamp=STAMPS / "package",
        digest=digest(venv.digest, _packaging()),
        commands=[[*PIP, "--editable", "."]],
        product=VENV / "bin" / "kapelle",
    )


def tools_step(package: Step) -> Step:
    """Install what the checks and tests need."""
    return Step(
        title="Installing the tools of the checks and tests",
        stamp=STAMPS / "tools",
        digest=package.digest,
        commands=[[*PIP, "--editable", ".[dev]"]],
        product=VENV / "bin" / "pytest",
    )


def _packaging() -> str:
    """Those parts of pyproject.toml that decide what is installed; the tools' settings do not."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return json.dumps([settings["build-system"], settings["project"], settings["tool"]["hatch"]], sort_keys=True)
