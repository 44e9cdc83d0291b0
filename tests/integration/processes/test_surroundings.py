"""Bad surroundings: a port that is taken, folders that cannot be used, what others left behind, and garbage on every socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import tempfile
from pathlib import Path

import httpx
import msgspec

from kapelle.control.exits import birth
from kapelle.control.rundir import Record, RunDir
from tests.integration.processes.load import Load
from tests.integration.processes.serving import ask_status, begin, pids, serving


async def test_a_port_that_is_taken_is_said_in_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        system = await begin(tmp_path, "--port", str(port))
        assert await system.ended() == 1
    assert system.lines[-1].startswith(f"kapelle: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert len(system.matches("kapelle: ")) == 1
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at a local file takes microseconds


async def test_a_second_controller_is_refused_and_the_first_one_does_not_notice(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        before = pids(await ask_status(tmp_path))
        second = await begin(tmp_path)
        assert await second.ended() == 1
        assert "a controller already runs" in second.lines[-1]
        assert pids(await ask_status(tmp_path)) == before
        assert httpx.post(f"{first.url}/double", json={"x": 1}, trust_env=False).text == "2"  # noqa: ASYNC210 - nobody else uses this loop


async def test_a_folder_with_other_files_is_refused_and_they_are_safe(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    system = await begin(tmp_path)
    assert await system.ended() == 1
    assert "holds other files (thesis.txt)" in system.lines[-1]
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


async def test_a_folder_with_a_long_name_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("very" * 20) / ("deep" * 20)
    folder.mkdir(parents=True)
    elsewhere = RunDir(folder / "run").sockets
    assert elsewhere.parent == Path(tempfile.gettempdir())
    async with serving(folder) as system:
        assert httpx.post(f"{system.url}/double", json={"x": 1}, trust_env=False).text == "2"  # noqa: ASYNC210 - nobody else uses this loop
        assert elsewhere.stat().st_mode & 0o777 == 0o700
    assert not elsewhere.exists()
    assert list(folder.iterdir()) == []


async def test_old_records_of_others_processes_harm_nobody(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.acquire()
    run.release()
    dead = await asyncio.create_subprocess_exec("true")
    await dead.wait()
    records = [
        # A number that was given again since: it is this very test.
        record("Doubler-0", os.getpid(), "1"),
        record("Doubler-1", dead.pid, birth(os.getpid())),
        record("gateway-0", 1, "1"),
    ]
    run.record(records)
    for name in ("controller", "Doubler-0.control", "gateway-0.control", "gateway-0.door"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(run.sockets / name))
    async with serving(tmp_path) as system:
        assert not system.matches("adopting")
        assert httpx.post(f"{system.url}/double", json={"x": 1}, trust_env=False).text == "2"  # noqa: ASYNC210 - nobody else uses this loop
        system.process.send_signal(signal.SIGTERM)
        assert await system.ended() == 0
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at a local file takes microseconds


def record(name: str, pid: int, born: str) -> Record:
    role = "gateway" if name.startswith("gateway") else "replica"
    return msgspec.convert(
        {
            "name": name, "slot": name, "role": role, "service": "Doubler", "shards": [0], "pid": pid, "born": born,
            "data": "unix:d", "control": "unix:c", "ready": True,
        },
        Record,
    )  # fmt: skip


async def test_what_cannot_be_written_down_does_not_stop_anything(tmp_path: Path) -> None:
    async with serving(tmp_path) as system, Load(system.url) as load:
        # Stands for a full disk: the file cannot be written.
        (tmp_path / "run" / "processes.json.new").mkdir()
        for time in (1, 2):
            os.kill(pids(await ask_status(tmp_path))["Doubler-0"], signal.SIGKILL)
            await system.said("a process is back", times=time)
        assert len(system.matches("what runs cannot be written down")) == 1, "it is said once"
        (tmp_path / "run" / "processes.json.new").rmdir()
        os.kill(pids(await ask_status(tmp_path))["Doubler-1"], signal.SIGKILL)
        await system.said("a process is back", times=3)
        load.check()
        load.stop()
        system.process.send_signal(signal.SIGTERM)
        assert await system.ended() == 0


async def test_garbage_on_every_socket_harms_nobody(tmp_path: Path) -> None:
    chance = random.Random(1)
    samples = [
        b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, b"\xff" * 64, chance.randbytes(10_000),
        # A whole frame: a greeting of nobody, a message of no direction.
        (9).to_bytes(4, "little") + (0).to_bytes(4, "little") + b"kapelle/9",
    ]  # fmt: skip
    async with serving(tmp_path) as system, Load(system.url) as load:
        before = pids(await ask_status(tmp_path))
        places = sorted(path for path in RunDir(tmp_path / "run").sockets.iterdir() if path.is_socket())
        assert {path.suffix for path in places} == {"", ".control", ".data", ".door", ".heir"}
        await asyncio.gather(*(shout(place, sample) for place in places for sample in samples))
        await asyncio.gather(*(talk_nonsense(place) for place in places if place.suffix not in (".door", ".heir")))
        await load.more(50)
        load.check()
        assert pids(await ask_status(tmp_path)) == before
        assert {one.phase for one in (await ask_status(tmp_path)).processes} == {"serving"}
        assert not system.matches("Traceback|Fatal error")


async def shout(place: Path, sample: bytes) -> None:
    """Send bytes, and stay until the other side has had enough."""
    reader, writer = await asyncio.open_unix_connection(str(place))
    try:
        writer.write(sample)
        writer.write_eof()
        await reader.read()
    except ConnectionError:
        pass
    writer.close()


async def talk_nonsense(place: Path) -> None:
    """Pair two lanes as a friend would, then send a frame that is no message; one's answer is the end."""

    def frame(head: bytes) -> bytes:
        return len(head).to_bytes(4, "little") + (0).to_bytes(4, "little") + head

    lanes = [await asyncio.open_unix_connection(str(place)) for _ in range(2)]
    for (_, writer), role in zip(lanes, (b"small", b"bulk"), strict=True):
        writer.write(frame(b"kapelle/1 0123456789abcdef " + role))
    lanes[0][1].write(frame(b"\xc1nonsense"))
    for reader, writer in lanes:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
