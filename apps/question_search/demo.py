"""Show an update under load: publish a second release, then a damaged one, then go back; count what clients see of it.

    make update-demo
    python -m apps.question_search.demo --seconds 10 --rate 100

It starts a system of its own on a free port, in a folder of its own, and removes both at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.question_search.build import HERE
from apps.question_search.demo_clients import DAMAGED, MIXED, Load, Phase, Release, quantile
from apps.question_search.demo_memory import Memory
from apps.question_search.errors import QuestionSearchError

KAPELLE = str(Path(sys.executable).with_name("kapelle"))
STATE = HERE.parents[1] / ".kapelle"  # ignored by git
REWORDED = 1000  # questions of r2, about: built within seconds
STOP_WITHIN = 30.0  # seconds
COLOURS = {"r1": "cyan", "r2": "magenta"}
BARS = "▁▂▃▄▅▆▇█"


class DemoError(QuestionSearchError):
    """The demonstration could not be carried out; that says nothing about updates."""


class Stage:
    """A folder in which commands run as people type them, and in which a system is started."""

    def __init__(self, folder: Path, console: Console, settings: dict[str, str]) -> None:
        self.folder = folder
        self._console = console
        self._began = time.monotonic()
        # What is set for the user's own systems is not meant for this one.
        own = {key: value for key, value in os.environ.items() if not key.startswith("KAPELLE_")}
        self._environment = own | settings

    def say(self, text: str, style: str = "") -> None:
        """Print a line with the seconds since the beginning."""
        self._console.print(Text.assemble((f"{time.monotonic() - self._began:6.1f} s  ", "dim"), (text, style)))

    async def give(self, phase: Phase, *words: str) -> None:
        """Give a command about releases in a phase."""
        self.say(f"kapelle release {' '.join(words)}", "bold")
        phase.status, lines = await self._run("release", *words)
        for line in lines:
            if ": waiting for " not in line:
                self._console.print(Text(f"          {line}", "dim"), soft_wrap=True)
        phase.said = lines[-1] if lines else "the command said nothing"

    async def build(self, *options: str) -> Release:
        """Build a release. ``DemoError`` says why there is none."""
        status, lines = await self._run("release", "build", str(HERE), *options)
        built = next((found for line in lines if (found := re.match(r"(r\d+): .* verified", line))), None)
        if status or not built:
            raise DemoError("\n".join(["a release could not be built:", *lines[-10:]]))
        _, lines = await self._run("release", "show", built[1], "--target", str(HERE), "--json")
        shards = json.loads("".join(lines))["manifest"]["artifacts"]["index"]["shards"]
        digests = [file["sha256"] for shard in shards for file in shard if file["path"] == Path(DAMAGED).name]
        files = [next(self.folder.glob(f"**/blobs/*/{digest}")) for digest in digests]
        clusters = {question: at for at, file in enumerate(files) for question in json.loads(file.read_bytes())}
        self.say(f"{built[1]}: {len(clusters):,} questions in {len(shards)} clusters")
        return Release(built[1], clusters, files[0])

    @asynccontextmanager
    async def serving(self, release: str) -> AsyncIterator[str]:
        """The URL of a system that serves a release. ``DemoError``: it does not start, or does not stop as it should."""
        said: deque[str] = deque(maxlen=20)
        words = ["serve", str(HERE), "--port", "0", "--release", release, "--log-level", "warning"]
        async with self._started(*words, ends_by=signal.SIGTERM) as process:
            address = asyncio.get_running_loop().create_future()
            reading = asyncio.create_task(_read_on(process, said, address))
            yield await address
        await reading
        if process.returncode:
            raise DemoError("\n".join(["the system did not stop as it should:", *said]))

    async def processes(self) -> list[int]:
        """The processes of the system that serves."""
        _, lines = await self._run("status", str(HERE), "--json")
        found = json.loads("".join(lines))
        return [found["controller"], *(one["pid"] for one in found["processes"])]

    async def _run(self, *words: str) -> tuple[int | None, list[str]]:
        """The exit status of a command, and the lines that it printed."""
        async with self._started(*words, ends_by=signal.SIGINT) as process:
            printed, _ = await process.communicate()
        return process.returncode, printed.decode(errors="replace").splitlines()

    @asynccontextmanager
    async def _started(self, *words: str, ends_by: signal.Signals) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            KAPELLE,
            *words,
            cwd=self.folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others in their order
        )
        try:
            yield process
        finally:
            # The second signal asks a system not to wait for anything any more.
            for one in (ends_by, ends_by, signal.SIGKILL):
                if process.returncode is None:
                    with suppress(TimeoutError, ProcessLookupError):
                        process.send_signal(one)
                        await asyncio.wait_for(process.wait(), STOP_WITHIN)


async def _read_on(process: asyncio.subprocess.Process, said: deque[str], address: asyncio.Future[str]) -> None:
    """Read what a system prints as long as it runs, and tell its address."""
    assert process.stdout is not None
    async for line in process.stdout:
        said.append(line.decode(errors="replace").rstrip())
        if (found := re.search(r" is ready at (\S+)", said[-1])) and not address.done():
            address.set_result(found[1])
    if not address.done():
        address.set_exception(DemoError("\n".join(["the system did not start:", *said])))


async def demonstrate(stage: Stage, seconds: float, rate: float) -> list[Phase]:
    """Everything that is shown, in its order; each phase is watched for ``seconds`` or longer."""
    stage.say("Building r1 of what the application serves: kapelle release build apps/question_search")
    r1 = await stage.build()
    stage.say("Starting: kapelle serve apps/question_search --release r1")
    async with stage.serving(r1.name) as url:
        known = list(r1.clusters)
        step = max(3, len(known) // REWORDED)
        stage.say(
            "Building r2 of other questions, another number of clusters, and another encoder: kapelle release build"
        )
        stage.say("  apps/question_search --questions new.txt --clusters ... --precision float32")
        # Other words tell whose an answer is; another number of clusters cuts every shard anew.
        (stage.folder / "new.txt").write_text("\n".join(f"New: {one}" for one in known[::step]), encoding="utf-8")
        clusters = max(r1.clusters.values()) + 4
        options = ["--questions", "new.txt", "--clusters", str(clusters), "--precision", "float32"]
        r2 = await stage.build(*options)
        stage.say("Building r3, which is r1 with one file changed: kapelle release build ... --artifacts changed")
        changed = shutil.copytree(HERE / "artifacts", stage.folder / "changed")
        (changed / DAMAGED).write_bytes((changed / DAMAGED).read_bytes() + b"\n")
        r3 = await stage.build("--artifacts", "changed")
        if r1.clusters.keys() & r2.clusters.keys():
            raise DemoError("r1 has questions that begin with 'New: '; expected none, to tell r2 from it")
        # Both releases are asked as many of their own questions as of the other's, so neither has the better answers.
        asked = [question for one in known[::step] for question in (one, f"New: {one}")]
        memory = Memory(await stage.processes())
        load = Load(url, asked, rate, [r1, r2], memory)
        stage.say(f"From here on, {rate:g} questions a second are asked at {url}", "bold")
        async with load.running():
            with load.phase("before", "r1", "r1"):
                await asyncio.sleep(seconds)
            with load.phase("publish r2", "r1", "r2") as phase:
                await stage.give(phase, "publish", "r2")
            with load.phase("corrupt r3", "r2", "r2") as phase:
                content = bytearray(r3.file.read_bytes())
                content[len(content) // 2] ^= 1
                r3.file.write_bytes(content)
                stage.say(f"One bit of {DAMAGED} of r3 is flipped in the store", "bold")
                await stage.give(phase, "publish", "r3")
                await asyncio.sleep(seconds)
            with load.phase("rollback", "r2", "r1") as phase:
                await stage.give(phase, "rollback")
        stage.say("Stopping")
    return load.phases


def print_report(console: Console, phases: Sequence[Phase]) -> bool:
    """What clients saw, phase by phase; whether all of it is as it should be."""
    table = Table(title="What clients saw (times in ms)", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("Phase", no_wrap=True)
    for name in ("Asked", "Failed", "By r1", "By r2", "Mixed", "p50", "p99", "Memory", "Took"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("p99 over time", no_wrap=True)
    table.add_column("Outcome", overflow="fold")
    highest = max((one.seconds for phase in phases for one in phase.outcomes), default=1.0)
    for phase in phases:
        times = [one.seconds for one in phase.outcomes if one.release]
        mixed = sum(one.wrong == MIXED for one in phase.outcomes)
        failed = sum(one.wrong != "" for one in phase.outcomes) - mixed
        counts = [len(phase.outcomes), failed, phase.answered["r1"], phase.answered["r2"], mixed]
        shown = [f"{one:,}" for one in counts] + [f"{1000 * quantile(times, share):.0f}" for share in (0.5, 0.99)]
        fine, words = phase.end()
        end = Text(words, "green" if fine else "bold red")
        table.add_row(
            phase.name, *shown, f"{phase.memory >> 20:,} MiB", f"{phase.seconds:.1f} s", _bars(phase, highest), end
        )
    console.print(Text(), table)
    wrong = Counter(one.wrong for phase in phases for one in phase.outcomes if one.wrong)
    for what, often in wrong.most_common(3):
        console.print(Text(f"{often} times: {what}", "red"))
    console.print(
        "Look at Failed and Mixed: they should be 0 all along, while the answers go from r1 to r2 and back. A mixed answer "
        "names one release in its header and has a question in it that this release does not have, or not in that place."
    )
    return not wrong and all(phase.end()[0] for phase in phases)


def _bars(phase: Phase, highest: float) -> Text:
    """A bar for each second (or more, if there are many) as high as its p99, in the colour of the one who answered."""
    width = max(1, math.ceil(phase.seconds / 12))
    bars = Text()
    for at in range(math.ceil(phase.seconds / width)):
        part = [one for one in phase.outcomes if one.release and int((one.due - phase.began) / width) == at]
        height = quantile([one.seconds for one in part], 0.99) / highest if part else 0.0
        releases = {one.release for one in part}
        bars.append(BARS[max(0, math.ceil(height * 8) - 1)], COLOURS.get(*releases) if len(releases) == 1 else "yellow")
    return bars


async def _in_own_folder(console: Console, seconds: float, rate: float) -> list[Phase]:
    """The demonstration in a folder that is removed in the end, also on Ctrl-C and SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    for one in (signal.SIGINT, signal.SIGTERM):  # the second time, it is already clearing up
        asyncio.get_running_loop().add_signal_handler(one, lambda: task.cancelling() or task.cancel())
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=STATE) as folder:
        # A release is on trial for as long as a phase is watched.
        return await demonstrate(Stage(Path(folder), console, {"KAPELLE_BAKE": str(seconds)}), seconds, rate)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when all went as it should, 1 when not, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.question_search.demo",
        description="Start the application on a free port and ask it questions at a fixed rate all the time; meanwhile "
        "publish a second release, then a damaged one, then roll back. A table says what clients saw of it. Nothing of "
        "yours is touched, nothing is left behind. The exit status is 0 when no request failed, no answer mixed two "
        "releases, and each step ended as it should; 1 when not; 2 when it could not be tried.",
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each phase lasts (default: %(default)g)")
    parser.add_argument("--rate", type=float, default=50.0, help="questions asked a second (default: %(default)g)")
    given = parser.parse_args(arguments)
    if not (0.5 <= given.seconds <= 600 and 1 <= given.rate <= 1000):
        parser.error("expected --seconds from 0.5 to 600 and --rate from 1 to 1000")
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 150)  # fits the table
    try:
        phases = asyncio.run(_in_own_folder(console, given.seconds, given.rate))
    except (QuestionSearchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        print("interrupted; nothing is left behind", file=sys.stderr)
        return 130
    return 0 if print_report(console, phases) else 1


if __name__ == "__main__":
    sys.exit(main())
