from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cpu import process_tree
from dialogue import Dialogue, ask_for_predictions
from servers import ServerFailed, running
from targets.base import BENCHMARKS, Command, Scene

SERVER = """
import http.server, json, sys
sys.path.insert(0, {model!r})
from tiny_model import classify

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps({{"predictions": classify(body["instances"])}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""

# A daemon of the old school: forked twice, in a session of its own, deaf to SIGTERM.
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("daemon", "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
"""


class Plain:
    """A target of this test's own: a server of the standard library, and whatever is put before it."""

    name = "plain"
    scenarios: Sequence[str] = ("tiny",)
    packages: Sequence[str] = ()
    tuning = "none"

    def __init__(self, before: str = "") -> None:
        self.before = before

    def python(self) -> Path:
        return Path(sys.executable)

    def commands(self, scene: Scene) -> Sequence[Command]:
        source = SERVER.format(model=str(BENCHMARKS / "model"), port=scene.port)
        return [Command([self.python(), "-c", self.before + source])]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_runs_and_is_gone_afterwards() -> None:
    with running(Plain(), "tiny") as server:
        processes = process_tree(server.nest)
        assert len(processes) == 2
        assert 0 < server.seconds_to_first_answer < 30
    assert not any(map(alive, processes))


def test_a_daemon_stays_in_the_tree_and_is_ended_with_it() -> None:
    with running(Plain(DAEMON), "tiny") as server:
        processes = process_tree(server.nest)
        daemon = int((Path(f"/proc/{processes[1]}/cwd").resolve() / "daemon").read_text())
        assert daemon in processes
        assert os.getsid(daemon) != os.getsid(processes[1])
    assert not alive(daemon)


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    with pytest.raises(ServerFailed, match=r"(?s)plain ended before it answered.*no model today"):
        running(Plain("raise SystemExit('no model today')\n"), "tiny").__enter__()


def test_a_wrong_answer_does_not_count_as_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.START_SECONDS", 1.5)
    wrong = f"import sys; sys.path.insert(0, {str(BENCHMARKS / 'model')!r})\nimport tiny_model\n"
    with pytest.raises(ServerFailed, match=r"expected \[0\] at \('predictions',\), got"):
        running(Plain(f"{wrong}tiny_model.classify = lambda instances: [7 for _ in instances]\n"), "tiny").__enter__()


def test_servers_end_with_a_benchmark_that_is_killed() -> None:
    program = f"""
import sys
sys.path[:0] = [{str(BENCHMARKS)!r}, {str(Path(__file__).parent)!r}]
from test_servers import Plain
from servers import running
with running(Plain(), "tiny") as server:
    print(server.nest, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stdout is not None
        processes = process_tree(int(benchmark.stdout.readline()))
        folder = Path(f"/proc/{processes[0]}/cwd").resolve()
        assert len(processes) == 2
        assert folder.is_dir()
        benchmark.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while any(map(alive, processes)) or folder.exists():
        assert time.monotonic() < deadline, "the server or its folder outlived the benchmark"
        time.sleep(0.05)  # processes of others: no event tells of their end
