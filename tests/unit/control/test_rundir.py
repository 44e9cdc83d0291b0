from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kapelle.control.rundir import Record, RunDir, System
from kapelle.errors import StartError
from kapelle.transport.sockets import MAX_UNIX_PATH, Address, bind

RECORD = Record(
    name="Echo-0", role="replica", service="Echo", shards=[0], pid=17, born="4", data="unix:d", control="unix:c"
)  # fmt: skip


def listen(address: str) -> None:
    bind(Address.parse(address)).close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    assert run.records() == []
    assert run.system() is None
    run.acquire()
    run.record([RECORD])
    run.record_system(System(target="app.py", url="http://127.0.0.1:1"))
    again = RunDir(tmp_path / "run")
    assert again.records() == [RECORD]
    assert again.system() == System(target="app.py", url="http://127.0.0.1:1")


@pytest.mark.parametrize("content", [b"", b"[{", b'[{"name": 1}]', b"\xff\xfe", b"null"])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    run = RunDir(tmp_path)
    (tmp_path / "processes.json").write_bytes(content)
    (tmp_path / "system.json").write_bytes(content)
    assert run.records() == []
    assert run.system() is None


def test_a_record_of_an_older_kapelle_is_read(tmp_path: Path) -> None:
    old = b'[{"name":"E-0","role":"replica","service":"E","shards":[0],"pid":1,"born":"2","data":"d","control":"c"}]'
    (tmp_path / "processes.json").write_bytes(old)
    (found,) = RunDir(tmp_path).records()
    assert (found.name, found.digest, found.ready) == ("E-0", "", False)


def test_there_is_one_controller(tmp_path: Path) -> None:
    first = RunDir(tmp_path / "run")
    first.acquire()
    with pytest.raises(StartError, match="a controller already runs"):
        RunDir(tmp_path / "run").acquire()
    first.release()
    RunDir(tmp_path / "run").acquire()


def test_a_lock_that_was_removed_meanwhile_is_worth_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = RunDir(tmp_path / "run"), RunDir(tmp_path / "run")
    first.acquire()
    real_open = os.open

    def open_then_removed(path: str, flags: int, mode: int = 0o777) -> int:
        monkeypatch.setattr(os, "open", real_open)
        handle = real_open(path, flags, mode)
        first.remove()
        return handle

    monkeypatch.setattr(os, "open", open_then_removed)
    second.acquire()
    with pytest.raises(StartError):
        RunDir(tmp_path / "run").acquire()
    second.record([RECORD])


def test_nobody_else_may_enter(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    RunDir(tmp_path / "run").acquire()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_nothing_of_ours_is_left_behind(tmp_path: Path) -> None:
    run = RunDir(tmp_path / ".kapelle" / "app")
    run.acquire()
    run.record([RECORD])
    run.record_system(System(target="app.py", url=""))
    for address in (run.controller, run.control("Echo-0"), run.data("Echo-0"), f"unix:{run.door('gateway-0')}"):
        listen(address)
    assert run.controls() == [run.control("Echo-0")]
    assert run.doors() == [run.door("gateway-0")]
    run.remove()
    assert list(tmp_path.iterdir()) == []


def test_files_of_others_are_safe(tmp_path: Path) -> None:
    (tmp_path / "thesis.data").write_text("years of work")
    (tmp_path / "app.py").touch()
    mode = tmp_path.stat().st_mode
    with pytest.raises(StartError, match=r"holds other files \(app.py, thesis.data\)"):
        RunDir(tmp_path).acquire()
    assert tmp_path.stat().st_mode == mode
    assert (tmp_path / "thesis.data").exists()


def test_files_that_came_later_are_safe_too(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.acquire()
    (run.path / "notes.data").write_text("mine")
    run.remove()
    assert [path.name for path in run.path.iterdir()] == ["notes.data"]


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "run").stat().st_uid + 1)
    with pytest.raises(StartError, match="belongs to another user"):
        RunDir(tmp_path / "run").acquire()


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(StartError, match="cannot be a run folder: .*--run-dir"):  # noqa: RUF043 - a pattern is meant
        RunDir(tmp_path / "run").acquire()


def test_sockets_live_elsewhere_when_the_path_is_too_long(tmp_path: Path) -> None:
    run = RunDir(tmp_path / ("deep" * 30))
    assert run.sockets != run.path
    run.acquire()
    try:
        listen(run.data("Echo-0"))
        assert run.sockets.is_dir()
    finally:
        run.remove()
    assert not run.sockets.exists()
    assert not run.path.exists()
    assert RunDir(tmp_path / ("deep" * 31)).sockets != run.sockets


@pytest.mark.parametrize("name", ["Echo-0", "E" * 200 + "-0", "Ä" * 60 + "-11~2"])
def test_every_name_fits_into_a_socket(tmp_path: Path, name: str) -> None:
    longest = MAX_UNIX_PATH - 49 - len(os.fsencode(tmp_path)) - 1
    for run in (RunDir(tmp_path / ("d" * longest)), RunDir(tmp_path / ("d" * (longest + 1)))):
        for address in (run.control(name), run.data(name), f"unix:{run.door(name)}"):
            assert len(os.fsencode(address.removeprefix("unix:"))) <= MAX_UNIX_PATH
        assert run.control(name) != run.control(name + "x")


def test_a_full_disk_is_an_error_that_can_be_caught(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(OSError, match="No such file"):
        run.record([RECORD])


def test_old_records_survive_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path / "run")
    run.acquire()
    run.record([RECORD])

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        run.record([])
    assert run.records() == [RECORD]


def test_a_controller_is_one_that_answers(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    without_folder = run.has_controller
    run.acquire()
    with bind(Address.parse(run.controller)):
        while_it_listens = run.has_controller
    # Its socket is left, and nobody listens.
    assert (without_folder, while_it_listens, run.has_controller) == (False, True, False)
    run.remove()
