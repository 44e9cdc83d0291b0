"""The applications in apps/: what each needs installed, and what each serves from."""

from __future__ import annotations

from pathlib import Path

from scripts.environment import PIP, PYTHON, STAMPS
from scripts.steps import ROOT, Step, digest, digest_files


def app_names() -> list[str]:
    """The applications, by name."""
    return sorted(path.name for path in (ROOT / "apps").glob("[a-z]*") if path.is_dir())


def requirements_step(name: str, package: Step) -> Step:
    """Install what an application needs beyond the package: its requirements*.txt."""
    files = sorted((ROOT / "apps" / name).glob("requirements*.txt"))
    commands = []
    for file in files:
        # Some packages declare far more than what the application uses of them; those stand in a file of their own.
        alone = ["--no-deps"] if file.name.endswith("-nodeps.txt") else []
        commands.append([*PIP, *alone, "--requirement", str(file.relative_to(ROOT))])
    return Step(
        title=f"Installing what apps/{name} needs",
        stamp=STAMPS / f"app-{name}",
        digest=digest(package.digest, digest_files(files)),
        commands=commands,
        product=PYTHON,
    )


def build_step(name: str, requirements: Step) -> Step:
    """Build what an application serves from (a model, an index): its ``build.py`` writes to ``artifacts/``."""
    folder = ROOT / "apps" / name
    output = folder / "artifacts"
    builds = (folder / "build.py").exists()
    return Step(
        title=f"Building what apps/{name} serves from",
        stamp=STAMPS / f"build-{name}",
        digest=digest(requirements.digest, digest_files(_sources(folder, output))),
        commands=[[str(PYTHON), "-m", f"apps.{name}.build"]] if builds else [],
        product=output,  # one built by hand with other options is kept
    )


def _sources(folder: Path, output: Path) -> list[Path]:
    """All that the output may depend on: code and data, but no tests, caches or half-written output (hidden folders)."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        made = output in path.parents or "__pycache__" in parts or any(part.startswith(".") for part in parts)
        if path.is_file() and not made and parts[0] != "tests":
            found.append(path)
    return found
