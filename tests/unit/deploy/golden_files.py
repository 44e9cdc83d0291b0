"""Generated files as they are to be; ``python -m tests.unit.deploy.golden_files`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from kapelle.deploy.compose import compose_files
from kapelle.deploy.kubernetes.files import kubernetes_files
from kapelle.deploy.swarm import stack_files
from tests.house.sources import ROOT
from tests.unit.deploy.systems import APPS, system_of

FOLDER = ROOT / "tests/unit/deploy/golden"
DIGESTS = {"kapelle": "00000000", "grafana": "11111111"}


def generated(app: str) -> dict[str, str]:
    """The files for all engines, by their paths below the folder of golden files."""
    place = Path("deploy/compose")
    context = Path(".kapelle/images") / f"apps.{app}"
    small = system_of(app, context)
    spread = system_of(app, context, gateways=2, store="s3://models/kapelle")
    clustered = system_of(app, context, gateways=2)
    files = {
        "compose": compose_files(small, place, observe=True),
        "swarm": stack_files(spread, DIGESTS, observe=True),
        "kubernetes": kubernetes_files(clustered, observe=True),
    }
    # The dashboard is the same everywhere, and has a test of its own.
    return {
        f"{app}/{engine}/{name}": text
        for engine, made in files.items()
        for name, text in made.items()
        if not name.endswith(".json")
    }


def main() -> None:
    for app in APPS:
        for name, text in generated(app).items():
            path = FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
