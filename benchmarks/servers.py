"""A server under test from its start to the end of its last process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from client import HEAD_END
from cpu import Memory, tree_cpu_seconds, tree_memory
from dialogue import Dialogue, Exchange
from targets.base import BENCHMARKS, Scene, Target

START_SECONDS = 90.0
SPARE_PORTS = 4
LOG_TAIL_LINES = 25


class ServerFailed(Exception):
    """A server did not start, or not answer right; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        nest: the process id of its tree's root.
        seconds_to_first_answer: from the start of its first process to its first right answer.
    """

    target: Target
    dialogue: Dialogue
    port: int
    nest: int
    seconds_to_first_answer: float

    def cpu_seconds(self) -> float:
        """CPU time that all its processes have used so far."""
        return tree_cpu_seconds(self.nest)

    def memory(self) -> Memory:
        """Memory of all its processes."""
        return tree_memory(self.nest)


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]


def ask(port: int, dialogue: Dialogue, exchange: Exchange) -> bytes:
    """One exchange on a connection of its own: the answer's body.

    Raises:
        OSError: nobody listens, or the connection broke.
        ValueError: the answer is not HTTP, or its status is not 200.
    """
    request = dialogue.request(exchange, port).replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, separator, body = answer.partition(HEAD_END)
    if not separator or head.split(b" ", 2)[1:2] != [b"200"]:
        raise ValueError(f"answered {answer[:300]!r}")
    return body


def common_environment(folder: Path) -> dict[str, str]:
    """What every server is started with: this environment without its Python's settings, plus the model's folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return environment | {
        "PYTHONPATH": str(BENCHMARKS / "model"),
        "HOME": str(folder),  # whatever a server writes beside its work goes with it
        # One thread for a 4x3 product, so that no server is charged for idle helpers of the linear algebra library.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


@contextmanager
def running(target: Target, scenario: str) -> Iterator[Server]:
    """Start a target, wait until every one of its exchanges is answered right, and end all its processes at last.

    Raises:
        NotInstalled: its programs are missing.
        ServerFailed: it ended, or was not right within 90 s.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        port, *spare = free_ports(1 + SPARE_PORTS)
        commands = target.commands(Scene(scenario, port, spare, folder))
        common = common_environment(folder)
        plan = [[list(map(str, command.argv)), common | dict(command.environment)] for command in commands]
        log = folder / "log"
        started = time.monotonic()
        with log.open("wb") as output:
            nest = subprocess.Popen(
                [sys.executable, BENCHMARKS / "nest.py"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        try:
            assert nest.stdin is not None, "the nest reads its commands from a pipe"
            nest.stdin.write(json.dumps(plan).encode())
            nest.stdin.close()
            dialogue = target.dialogue(scenario)
            _wait_until_right(target, dialogue, port, nest, log)
            yield Server(target, dialogue, port, nest.pid, time.monotonic() - started)
        finally:
            nest.terminate()
            nest.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_right(target: Target, dialogue: Dialogue, port: int, nest: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = list(dialogue.exchanges)
    seen = "no answer yet"
    while waiting:
        try:
            body = ask(port, dialogue, waiting[0])
            if waiting[0].accepts(body):
                waiting.pop(0)
                continue
            seen = f"expected {waiting[0].expected!r} at {waiting[0].at!r}, got {body[:300]!r}"
        except (OSError, ValueError) as error:
            seen = str(error)
        if nest.poll() is not None:
            raise ServerFailed(f"{target.name} ended before it answered. {_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"{target.name} was not right within {START_SECONDS:.0f} s: {seen}. {_tail(log)}")
        time.sleep(0.005)  # a foreign server has no event to wait for but its port


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "Its last lines:\n" + "\n".join(lines) if lines else "It wrote nothing."
