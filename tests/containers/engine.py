"""An engine of the tests' own: in namespaces of its own, so that all that it makes is gone when it is.

Its bridges, addresses and packet filters are in its network namespace, its mounts in its mount namespace, its containers
in its process namespace, whose end is theirs. The machine sees one tree of processes and one folder. Packages come through
slirp4netns, a network that needs nothing of the machine's. Two such engines do not know of each other.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.engine import UNPACKED, Clients, unpacked
from scripts.steps import ROOT
from tests.containers.notices import Notices

DATA = ROOT / ".kapelle"
READY_WITHIN = 60.0
CLONE_NEWNET = 0x40000000
_LARGEST, _SPARE = 10 << 30, 6 << 30
"""Bytes of memory for images and containers, and for all else. Where there is less, the disk is used, which is slower."""
CGROUPS = Path("/sys/fs/cgroup")

DYING_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""The start of a command that ends when the tests do, however they do."""

# The engine's first process: what its namespaces need, then the engine below an init that reaps what is left to it.
BOOT = """
mount -t tmpfs tmpfs /run
[ -z "$MEMORY" ] || mount -t tmpfs -o "size=$MEMORY" tmpfs "$DATA"
cp "$FOLDER/resolv.conf" /run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
ip link set lo up
exec tini -s -- dockerd --host "unix://$FOLDER/docker.sock" --group "$GROUP" --data-root "$DATA" --cgroup-parent "/$NAME" \
    --exec-root /run/docker --pidfile /run/docker.pid
"""


class EngineFailed(AssertionError):
    """The engine did not start; the message has the last lines of its log."""


@dataclass
class PrivateEngine:
    """A started engine. ``clients`` reach it, ``init`` is its first process as this machine counts."""

    name: str
    folder: Path
    data: Path
    clients: Clients
    process: subprocess.Popen[bytes]
    init: int
    uplink: subprocess.Popen[bytes] | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be on the engine's machine: this thread's new connections, and programs it starts, see its published ports.

        A published port is then at 127.0.0.1, as it is on a machine whose own engine is used.
        """
        with Path("/proc/thread-self/ns/net").open() as here, Path(f"/proc/{self.init}/ns/net").open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def stop(self) -> None:
        """End it and all that it runs, at once, and remove what it kept."""
        if self.process.poll() is None:
            # The first process is the last to die: when it has, so have all others, and mounts and networks are gone.
            os.kill(self.init or self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.uplink is not None:
            self.uplink.kill()
            self.uplink.communicate()
        for group in [*CGROUPS.glob(f"*/{self.name}"), CGROUPS / self.name]:
            _remove_group(group)
        shutil.rmtree(self.data)
        shutil.rmtree(self.folder)


def start_engine(programs: Path = UNPACKED) -> PrivateEngine:
    """Start the engine whose programs are unpacked there; ready when this returns.

    Raises:
        EngineFailed: it ended, or was not ready in time.
    """
    remove_leftovers()
    name = f"kapelle-{os.getpid()}-{os.urandom(3).hex()}"
    # The path of a socket is short; the images and containers want the disk that the repository has.
    folder = Path(tempfile.mkdtemp(prefix="kapelle-engine-"))
    data = DATA / f"engine-{name}"
    data.mkdir(parents=True)
    (folder / "resolv.conf").write_text("nameserver 10.0.2.3\n")  # slirp4netns asks whom this machine asks
    clients = unpacked(folder / "docker.sock", programs)
    environment = {
        **clients.environment,
        "PATH": f"{clients.environment['PATH']}:/usr/sbin:/usr/bin:/sbin:/bin",
        "FOLDER": str(folder),
        "DATA": str(data),
        "MEMORY": str(_LARGEST) if _available_memory() > _SPARE + _LARGEST else "",
        "GROUP": str(os.getgid()),
        "NAME": name,
    }
    with Notices(folder / "notify") as notices, (folder / "log").open("wb") as log:
        # When unshare dies with the tests, it takes its child along, and with that the whole process namespace.
        process = subprocess.Popen(
            [
                *DYING_WITH_US,
                *[
                    "unshare",
                    "--net",
                    "--mount",
                    "--ipc",
                    "--pid",
                    "--mount-proc",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-euc",
                ],
                BOOT,
            ],
            env={**environment, "NOTIFY_SOCKET": str(notices.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        engine = PrivateEngine(name, folder, data, clients, process, init=0)
        try:
            _wait_until_ready(engine, notices)
            engine.uplink = _uplink(engine.init)
        except BaseException:
            engine.stop()
            raise
    return engine


def _available_memory() -> int:
    """Bytes that programs can have without others having to give."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _wait_until_ready(engine: PrivateEngine, notices: Notices) -> None:
    trouble = notices.wait(within=READY_WITHIN, process=engine.process.pid)
    engine.init = _child(engine.process.pid)
    if trouble:
        last_lines = (engine.folder / "log").read_text().splitlines()[-20:]
        raise EngineFailed("\n".join([f"the engine did not start: {trouble}; the end of its log:", *last_lines]))


def _child(parent: int) -> int:
    """The only child of a process; 0 when it has none."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text() or 0)


def remove_leftovers() -> None:
    """Remove the data of engines whose tests were killed; the engines died with them."""
    for data in DATA.glob("engine-kapelle-*"):
        _, _, pid, _ = data.name.split("-")
        if not Path("/proc", pid).exists():
            shutil.rmtree(data)


def _uplink(init: int) -> subprocess.Popen[bytes]:
    """Connect the engine's network to this machine's: outwards only, and not to what listens on this machine alone."""
    ready, told = os.pipe()
    with os.fdopen(ready, "rb") as pipe:
        command = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={told}"]
        process = subprocess.Popen(
            [*DYING_WITH_US, *command, str(init), "tap0"],
            pass_fds=[told],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        os.close(told)
        if not pipe.read(1):
            _, errors = process.communicate()
            raise EngineFailed(f"slirp4netns gave the engine no network:\n{errors.decode()}")
    return process


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")


def _remove_group(group: Path) -> None:
    """Remove a control group and those below it; nothing runs in them any more."""
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()
