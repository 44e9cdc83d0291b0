"""What an update costs: Kapelle's publish beside stop-and-restart, and beside mosec restarted in turn behind nginx.

    python benchmarks/publish.py                            # about five minutes; results/publish.md and publish.svg
    python benchmarks/publish.py --sizes 1,16 --rounds 1

The job is the same everywhere: rows of an array in four parts, and the version it is of. The load is an open loop well
under what all can take; the update comes in the middle of it. mosec must be installed (`install_peers.py mosec`), and
nginx on the system (`apt-get install nginx-light`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np

from cpu import MIB, tree_memory
from machine import describe_machine, versions
from publish_picture import draw
from servers import free_ports
from targets.base import BENCHMARKS

APP = str(BENCHMARKS / "kapelle_apps" / "vectors.py")
KAPELLE = str(Path(sys.executable).with_name("kapelle"))
MOSEC = BENCHMARKS / ".peers" / "mosec" / "bin" / "python"
RESULTS = BENCHMARKS / "results"
SHARDS = 4
COLUMNS = 256
RATE, SECONDS, UPDATE_AT = 200.0, 22.0, 8.0
WARM_UP = 1.0
"""Seconds for the load's own imports."""
AFTER = 1.0
"""Seconds after the end of an update in which latencies still count as those of the update."""
BACK_IN_USE = 1.5
"""Seconds after which nginx uses a server again that it had found gone, with its rest of one second."""

Record = tuple[float, float, int]


@dataclass(frozen=True)
class Update:
    """What clients saw of one update, and how long it took."""

    name: str
    records: list[Record]
    seconds: float

    @property
    def failed(self) -> int:
        return sum(version == 0 for *_, version in self.records)

    @property
    def gap(self) -> float:
        """The longest time without a right answer."""
        ends = sorted(due + took for due, took, version in self.records if version)
        return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=float("nan"))

    @property
    def stale(self) -> int:
        """Answers of the old version to requests that were sent after somebody had one of the new version."""
        first = min((due + took for due, took, version in self.records if version == 2), default=float("inf"))
        return sum(version == 1 and due > first for due, _, version in self.records)

    def p99(self, begin: float, end: float) -> float:
        """Milliseconds, of the right answers to requests that were due in that time."""
        found = sorted(took for due, took, version in self.records if version and begin <= due < end)
        return found[min(len(found) - 1, int(0.99 * len(found)))] * 1e3 if found else float("nan")


@dataclass(frozen=True)
class Published:
    """One publish of a system at rest."""

    size: int
    changed: str
    seconds: float
    fetched: int
    memory: tuple[int, int, int]


def write_artifacts(folder: Path, size: int, version: int, *, changed: int = SHARDS) -> Path:
    """Arrays of `size` bytes in four shards, of which `changed` have other values than those of another version."""
    rows = max(1, size // SHARDS // COLUMNS // 4)
    for number in range(SHARDS):
        shard = folder / "vectors" / "shards" / f"{number:03}"
        shard.mkdir(parents=True)
        kind = version if number < changed else 1
        generator = np.random.default_rng(number + 100 * kind)
        np.save(shard / "rows.npy", generator.random((rows, COLUMNS), dtype=np.float32))
        (shard / "version").write_text(str(version))
    return folder


@contextmanager
def serving(argv: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server for as long as it is needed; its log is in the folder."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            argv, env={**os.environ, **environment}, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_answered(port: int) -> None:
    """Return when a request is answered rightly; a foreign server has no event to wait for but its port."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        client = HTTPConnection("127.0.0.1", port, timeout=1.0)
        try:
            client.request("POST", "/find", body=b'{"row": 1}')
            if client.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.01)
        finally:
            client.close()
    raise SystemExit(f"nobody answers at port {port} within 60 s")


def under_load(name: str, port: int, update: Callable[[], None]) -> Update:
    """Run the load and, in the middle of it, the update."""
    start = time.monotonic() + WARM_UP
    command = [
        sys.executable, str(BENCHMARKS / "publish_load.py"), "--port", str(port), "--rate", str(RATE), "--seconds",
        str(SECONDS), "--start", str(start),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE) as load:
        time.sleep(max(0.0, start + UPDATE_AT - time.monotonic()))
        began = time.monotonic()
        update()
        took = time.monotonic() - began
        output, _ = load.communicate()
    return Update(name, [(due, seconds, version) for due, seconds, version in json.loads(output)], took)


def kapelle(folder: Path, *arguments: str) -> str:
    """Run a verb; what it printed."""
    done = subprocess.run([KAPELLE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kapelle {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def kapelle_environment(port: int) -> dict[str, str]:
    return {"KAPELLE_PORT": str(port), "KAPELLE_ACCESS_LOG": "false", "KAPELLE_BAKE": "3s", "OMP_NUM_THREADS": "1"}


@contextmanager
def kapelle_system(size: int, changed: int = SHARDS) -> Iterator[tuple[Path, int, subprocess.Popen[bytes]]]:
    """A running system on r1, with r2 in its store: its folder, port and controller."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for version in (1, 2):
            artifacts = write_artifacts(folder / f"v{version}", size, version, changed=changed)
            kapelle(folder, "release", "build", APP, "--artifacts", str(artifacts))
            shutil.rmtree(artifacts)
        (port,) = free_ports(1)
        with serving([KAPELLE, "serve", APP, "--release", "r1"], kapelle_environment(port), folder) as process:
            wait_until_answered(port)
            yield folder, port, process


def by_publish(size: int) -> Update:
    """Kapelle's own way."""
    with kapelle_system(size) as (folder, port, _):
        return under_load("kapelle release publish", port, lambda: void(kapelle(folder, "release", "publish", "r2")))


def by_restart(size: int) -> Update:
    """The same system, stopped and started with the other release."""
    with kapelle_system(size) as (folder, port, process), ExitStack() as later:

        def restart() -> None:
            process.send_signal(signal.SIGTERM)
            process.wait()
            argv = [KAPELLE, "serve", APP, "--release", "r2"]
            later.enter_context(serving(argv, kapelle_environment(port), folder))
            wait_until_answered(port)

        return under_load("stop and restart", port, restart)


def by_rolling_mosec(size: int) -> Update:
    """Two instances of mosec behind nginx, restarted one after the other, each when nginx uses the one before again."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for version in (1, 2):
            write_artifacts(folder / f"v{version}", size, version)
        front, *ports = free_ports(3)
        running: dict[int, subprocess.Popen[bytes]] = {}

        def start(port: int, version: int) -> None:
            argv = [str(MOSEC), str(BENCHMARKS / "peers" / "mosec" / "mosec_vectors.py"), "--port", str(port)]
            with (folder / "log").open("ab") as log:
                running[port] = subprocess.Popen(
                    argv, cwd=folder, stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, "ARTIFACTS": str(folder / f"v{version}"), "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            wait_until_answered(port)

        def roll() -> None:
            for port in ports:
                running[port].send_signal(signal.SIGTERM)
                running[port].wait()
                start(port, 2)
                time.sleep(BACK_IN_USE)

        try:
            for port in ports:
                start(port, 1)
            (folder / "nginx.conf").write_text(nginx(folder, front, ports))
            with serving(["nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"], {}, folder):
                wait_until_answered(front)
                return under_load("mosec in turn behind nginx", front, roll)
        finally:
            for process in running.values():
                process.send_signal(signal.SIGTERM)
                process.wait()


def nginx(folder: Path, front: int, ports: list[int]) -> str:
    """Round robin over two servers; one that refuses is left alone for a second, and the request goes to the other."""
    servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in ports)
    return f"""
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream both {{
{servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{front};
    location / {{
      proxy_pass http://both;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream error timeout non_idempotent;
    }}
  }}
}}
"""


class MemoryWatch:
    """The memory of a tree of processes, looked at again and again: before, at the highest, after."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._end = threading.Event()
        self.before = self.peak = tree_memory(pid).pss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.peak = max(self.peak, tree_memory(self._pid).pss)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def at_rest(size: int, changed: int) -> Published:
    """Publish without load: from the command to the commit, what was fetched, what was held."""
    with kapelle_system(size, changed) as (folder, _, process):
        blobs = folder / ".kapelle"
        had = _blob_bytes(blobs)
        watch = MemoryWatch(process.pid)
        said = kapelle(folder, "release", "publish", "r2")
        watch.stop()
        committed = next(line for line in said.splitlines() if "committed, watching" in line)
        time.sleep(8)  # the old release is dropped 5 s after the switch at the earliest
        after = tree_memory(process.pid).pss
        fetched = _blob_bytes(blobs) - had
        what = "all" if changed == SHARDS else f"{changed} of {SHARDS} shards"
        return Published(size, what, float(committed.split()[0]), fetched, (watch.before, watch.peak, after))


def _blob_bytes(folder: Path) -> int:
    """What the machine's cache has of contents, each once."""
    seen = {path.name: path.stat().st_size for path in folder.glob("cache/*/blobs/*/*") if path.is_file()}
    return sum(seen.values())


def void(_: object) -> None:
    """Nothing of it is needed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="1,16,64,256", help="MiB of artifacts, for the time of a publish")
    parser.add_argument("--size", type=int, default=64, help="MiB of artifacts, for what clients see")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every server is ended
    sizes = [int(size) * MIB for size in given.sizes.split(",")]
    for program, hint in (
        (MOSEC, "python benchmarks/install_peers.py mosec"),
        ("nginx", "apt-get install nginx-light"),
    ):
        if shutil.which(program) is None:
            raise SystemExit(f"{Path(program).name} is not installed; {hint}")
    published = [at_rest(size, changed) for size in sizes for changed in (SHARDS, 1)]
    ways = (by_publish, by_restart, by_rolling_mosec)
    updates = [[way(given.size * MIB) for way in ways] for _ in range(given.rounds)]
    text = report(published, updates, given.size)
    (RESULTS / "publish.md").write_text(text)
    (RESULTS / "publish.svg").write_text(draw([(one.name, one.records) for one in updates[-1]], UPDATE_AT, SECONDS))
    sys.stdout.write(text)
    return 0


def report(published: list[Published], updates: list[list[Update]], size: int) -> str:
    """The results as Markdown."""
    lines = [
        "# Updates under load\n",
        f"Measured on {describe_machine()}, {_versions()}; medians of {len(updates)} rounds that take turns.\n",
        (
            f"{size} MiB of arrays in {SHARDS} shards are replaced while {RATE:.0f} requests a second arrive in an open loop. "
            "Failed: no right answer within 5 s, or the connection broke; failed requests have no latency. Stale: answered "
            "by the old version though sent after some client had an answer of the new one. p99 before is that of the "
            f"{UPDATE_AT:.0f} s before the update, p99 at the update that of its whole length and {AFTER:.0f} s more. "
            "Kapelle's ends when it has watched the new release for 3 s; the others' when the last process answers again, "
            f"behind nginx after {BACK_IN_USE} s more each, when nginx uses it again. Kapelle has one gateway, mosec two "
            "instances with one worker each.\n"
        ),
        "![Latencies over time](publish.svg)\n",
        "| update | failed | longest gap | stale | p99 before | p99 at the update | ratio | takes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for runs in zip(*updates, strict=True):
        before = statistics.median(run.p99(0.5, UPDATE_AT) for run in runs)
        during = statistics.median(run.p99(UPDATE_AT, UPDATE_AT + run.seconds + AFTER) for run in runs)
        failed, gap = statistics.median(run.failed for run in runs), statistics.median(run.gap for run in runs)
        stale, took = statistics.median(run.stale for run in runs), statistics.median(run.seconds for run in runs)
        lines.append(
            f"| {runs[0].name} | {failed:.0f} | {gap:.2f} s | {stale:.0f} | {before:.1f} ms | {during:.1f} ms | "
            f"{during / before:.1f} | {took:.1f} s |"
        )
    lines += [
        f"\nOf {RATE * SECONDS:.0f} requests in each run.\n",
        "## Kapelle's publish by size\n",
        (
            "Without load: seconds from the wish to the commit as `publish` prints them, verification of the store included; "
            "bytes that came from the store into the machine's cache; memory of all processes (PSS) before, at its highest, "
            "and after the old release was dropped. Every shard has two copies.\n"
        ),
        "| artifacts | changed | to the commit | fetched | memory before | peak | after |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in published:
        before_, peak, after = (f"{value / MIB:.0f} MiB" for value in one.memory)
        lines.append(
            f"| {one.size / MIB:.0f} MiB | {one.changed} | {one.seconds:.1f} s | {one.fetched / MIB:.1f} MiB | {before_} | "
            f"{peak} | {after} |"
        )
    return "\n".join(lines) + "\n"


def _versions() -> str:
    nginx_says = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.rpartition("/")[2]
    found = {**versions(Path(sys.executable), ["kapelle"]), **versions(MOSEC, ["mosec"]), "nginx": nginx_says.strip()}
    return ", ".join(f"{name} {version}" for name, version in found.items())


if __name__ == "__main__":
    sys.exit(main())
