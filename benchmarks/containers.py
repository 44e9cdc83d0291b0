"""What the way between containers costs: the same app and request on Docker Compose and as processes of one machine.

    python benchmarks/containers.py                     # with the engine that `docker` reaches
    python benchmarks/containers.py --apps image_pipeline --seconds 4 -- --network=host

Each app runs in three ways, one after the other, twice over, with the same number of processes:

- containers: `kapelle deploy compose --up`. Calls between containers are TCP over the engine's bridge, each link begun
  with the shared secret; clients come through the engine's published port to the door.
- TCP: `kapelle serve --transport tcp`, processes of this machine.
- shared memory: `kapelle serve`, with Unix sockets and shared memory between them.

Each is asked its own request by one caller, then by eight at a time, each of whom waits for the answer. Figures are those
of the best of several turns, p99 that of all. What follows `--` goes to `docker build`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import uvloop

from kapelle.bench.client import HttpClient, Request
from kapelle.bench.example import request_of
from kapelle.bench.figures import SHARED, TCP, Figures
from kapelle.bench.load import Tally, measure
from kapelle.bench.own import WAYS
from kapelle.bench.system import quiet, running
from kapelle.config.settings import Settings
from kapelle.declare.loading import Target
from kapelle.errors import DeployError
from machine import describe_machine
from targets.base import BENCHMARKS

APPS = ("question_search", "image_pipeline")
CONTAINERS = "containers"
ROOT = BENCHMARKS.parent
KAPELLE = str(Path(sys.executable).with_name("kapelle"))
_TURNS = 3
_CALLERS = 8
_PORT = 8977


class Way:
    """What was found of one way."""

    def __init__(self) -> None:
        self.alone, self.loaded = Tally(), Tally()

    async def ask(self, host: str, port: int, request: Request, seconds: float) -> None:
        """Measure a system that runs."""
        with closing(HttpClient(host, port)) as client:

            async def send() -> None:
                answer = await client.send(request)
                if answer.status != 200:
                    raise DeployError(f"an answer was {answer.status}: {answer.body[:200]!r}")

            for _ in range(_TURNS):
                for tally, callers in ((self.alone, 1), (self.loaded, _CALLERS)):
                    await measure(tally, send, concurrency=callers, seconds=seconds / _TURNS, pids=list)


def compose(app: str, folder: Path, build: list[str]) -> None:
    """Start an app on Compose."""
    target = f"apps/{app}"
    if build:
        subprocess.run([KAPELLE, "build", target, "--", *build], cwd=ROOT, check=True)
    command = [KAPELLE, "deploy", "compose", target, "--out", str(folder), "--up", "--port", str(_PORT)]
    subprocess.run(command, cwd=ROOT, check=True)


def down(app: str, folder: Path) -> None:
    """Take it away again."""
    command = [KAPELLE, "down", "compose", f"apps/{app}", "--out", str(folder), "--volumes"]
    subprocess.run(command, cwd=ROOT, check=True)


async def measured(app: str, seconds: float, build: list[str]) -> dict[str, Way]:
    """All ways of one app."""
    spec = Target(str(ROOT / "apps" / app)).load()
    request = request_of(spec, None, None)
    assert request is not None, "the apps here describe what they take"
    ways = {name: Way() for name in (CONTAINERS, TCP, SHARED)}
    for _ in range(2):
        for name in (TCP, SHARED):
            settings = quiet(Settings(), **WAYS[name])
            artifacts = ROOT / "apps" / app / "artifacts"
            async with running(str(ROOT / "apps" / app), spec, settings, artifacts) as controller:
                host, _, port = controller.url.removeprefix("http://").partition(":")
                await ways[name].ask(host, int(port), request, seconds)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "compose"
            await asyncio.to_thread(compose, app, folder, build)
            try:
                await ways[CONTAINERS].ask("127.0.0.1", _PORT, request, seconds)
            finally:
                await asyncio.to_thread(down, app, folder)
    return ways


def row(app: str, name: str, way: Way) -> str:
    """A line of the table."""

    def milliseconds(figures: Figures) -> str:
        return f"{figures.p50 * 1e3:.2f} | {figures.p99 * 1e3:.2f}"

    alone, loaded = way.alone.figures, way.loaded.figures
    return f"| {app} | {name} | {milliseconds(alone)} | {milliseconds(loaded)} | {loaded.throughput:.0f} |"


def main() -> int:
    """Measure and write ``results/containers.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", default=",".join(APPS))
    parser.add_argument("--seconds", type=float, default=6.0, help="for each figure")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for containers.md")
    parser.add_argument("more", nargs="*", help="options of docker build, after --")
    options = parser.parse_args()
    rows = []
    for app in options.apps.split(","):
        ways = uvloop.run(measured(app, options.seconds, options.more))
        rows += [row(app, name, way) for name, way in ways.items()]
    text = "\n".join([
        "# Between containers, and between processes of one machine", "",
        f"Measured on {describe_machine()}, Docker Compose on the same machine. Milliseconds; one caller, then {_CALLERS}.",
        "", "| app | way | p50, one | p99, one | p50, eight | p99, eight | requests/s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |", *rows, "",
        "How it was measured: `benchmarks/containers.py`.", "",
    ])  # fmt: skip
    (options.results / "containers.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
