from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kapelle.control import exits
from kapelle.control.exits import birth, describe_exit, kill, wait_for_exit


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started another one."""
    command = ["sh", "-c", "sleep 60 & echo begun; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_its_birth(sleeper: subprocess.Popen[bytes]) -> None:
    born = birth(sleeper.pid)
    assert born
    assert birth(sleeper.pid) == born
    assert birth(os.getpid()) != born
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert birth(sleeper.pid) == "", "a zombie is dead"
    sleeper.wait()
    assert birth(sleeper.pid) == ""


def test_a_name_with_spaces_and_parentheses_does_not_confuse(tmp_path: os.PathLike[str]) -> None:
    odd = os.path.join(tmp_path, "a) S (b 1 2")  # noqa: PTH118 - the plain system call is meant
    os.symlink(sys.executable, odd)  # noqa: PTH211 - the plain system call is meant
    process = subprocess.Popen([odd, "-c", "input()"], stdin=subprocess.PIPE)
    assert birth(process.pid).isdecimal()
    process.communicate(b"\n")


async def test_the_end_of_a_child_is_seen_with_its_code(sleeper: subprocess.Popen[bytes]) -> None:
    waiting = asyncio.create_task(wait_for_exit(sleeper.pid, birth(sleeper.pid), sleeper))
    await asyncio.sleep(0)
    assert not waiting.done()
    sleeper.send_signal(signal.SIGTERM)
    assert await waiting == -signal.SIGTERM
    assert sleeper.returncode == -signal.SIGTERM, "reaped: no zombie is left"


async def test_the_end_of_a_process_that_is_no_child_is_seen_without_a_code(sleeper: subprocess.Popen[bytes]) -> None:
    waiting = asyncio.create_task(wait_for_exit(sleeper.pid, birth(sleeper.pid), None))
    await asyncio.sleep(0)
    sleeper.kill()
    assert await waiting is None


@pytest.mark.parametrize("is_child", [True, False])
async def test_what_a_process_has_started_ends_after_it(parent: subprocess.Popen[bytes], is_child: bool) -> None:
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"begun\n"
    born = birth(parent.pid)
    parent.kill()
    await wait_for_exit(parent.pid, born, parent if is_child else None)
    async with asyncio.timeout(20):
        # The other one holds the pipe as well, as long as it lives.
        assert await asyncio.to_thread(parent.stdout.read) == b""


async def test_another_process_of_the_same_number_is_not_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    assert await wait_for_exit(sleeper.pid, "1", None) is None
    sleeper.kill()
    sleeper.wait()
    assert await wait_for_exit(sleeper.pid, "1", None) is None


async def test_where_there_is_no_event_it_is_looked_for(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(exits, "_POLL", 0.01)
    ours = asyncio.create_task(wait_for_exit(sleeper.pid, birth(sleeper.pid), sleeper))
    sleeper.kill()
    assert await ours == -signal.SIGKILL
    assert await wait_for_exit(sleeper.pid, "1", None) is None


def test_only_the_one_that_was_meant_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    kill(sleeper.pid, "1")
    kill(sleeper.pid, "")
    assert sleeper.poll() is None
    kill(sleeper.pid, birth(sleeper.pid))
    assert sleeper.wait(timeout=10) == -signal.SIGKILL
    kill(sleeper.pid, "1")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "ended"),
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "killed by SIGKILL"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
