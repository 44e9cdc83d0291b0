from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from kapelle.cli.status import NOT_SERVING, NOTHING_RUNS, run_status, show
from kapelle.control.rundir import RunDir
from kapelle.control.status import ProcessStatus, SystemStatus, decode
from tests.unit.cli.served import APP, serving


def process(name: str, role: str, **fields: object) -> ProcessStatus:
    usual = {
        "service": name.partition("-")[0], "release": "r7", "shards": [0],
            "pid": 71, "phase": "serving", "restarts": 0, "last_end": "",
        "uptime": 12.0, "memory": 50 << 20, "in_flight": 0, "queued": 0,
    }  # fmt: skip
    return ProcessStatus(name=name, role=role, **{**usual, **fields})  # type: ignore[arg-type]  # checked by msgspec


def shown(*processes: ProcessStatus, controller: int = 7) -> list[str]:
    text = io.StringIO()
    system = SystemStatus(target="app.py", url="http://here", controller=controller, processes=list(processes))
    show(system, Console(file=text, highlight=False, width=80))
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_gateways_come_first_and_only_shards_are_numbered() -> None:
    lines = shown(
        process("Encoder-0", "replica", in_flight=3, queued=2),
        process("Cluster-0", "replica", shards=[0, 2], uptime=600.0),
        process("Cluster-1", "replica", shards=list(range(9)), uptime=7200.0),
        process("gateway-0", "gateway", shards=[]),
    )
    assert lines == [
        "app.py at http://here, controller 7",
        "process state shards in flight waiting restarts memory up pid",
        "gateway-0 serving 0 0 0 50 MiB 12 s 71",
        "Encoder-0 serving 3 2 0 50 MiB 12 s 71",
        "Cluster-0 serving 0,2 0 0 0 50 MiB 10 min 71",
        "Cluster-1 serving 9 shards 0 0 0 50 MiB 2.0 h 71",
        "4 of 4 processes serve",
    ]


def test_a_process_that_is_down_says_why() -> None:
    lines = shown(
        process("A-0", "replica", phase="waiting", pid=0, uptime=0.0, restarts=2, last_end="killed by SIGKILL")
    )
    assert "A-0 waiting 0 0 2 50 MiB" in lines
    assert lines[-2:] == ["A-0: killed by SIGKILL", "0 of 1 processes serve"]


def test_fits_80_columns() -> None:
    text = io.StringIO()
    system = SystemStatus(
        target="app.py",
        url="http://127.0.0.1:8080",
        controller=1234567,
        processes=[process("Classifier-11", "replica", pid=1234567, in_flight=100, queued=1000, shards=[0, 4, 8, 12])],
    )
    show(system, Console(file=text, highlight=False, width=80))
    assert text.getvalue().count("\n") == 4


def test_prints_a_table(in_served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_status(None, None, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("app.py at http://127.0.0.1:")
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["gateway-0", "serving"],
        ["Words-0", "serving"],
        ["Words-1", "serving"],
    ]
    assert lines[-1] == "3 of 3 processes serve"


def test_prints_json(in_served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_status("app.py", None, as_json=True) == 0
    found = decode(capsys.readouterr().out.encode())
    assert found.target == "app.py"
    assert {one.name for one in found.processes} == {"gateway-0", "Words-0", "Words-1"}
    assert all(one.memory > 10 << 20 and one.phase == "serving" for one in found.processes)


def test_says_when_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_status(None, None, as_json=False) == NOTHING_RUNS
    assert capsys.readouterr().err.startswith("kapelle: nothing runs from this folder")


def orphaned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system in the current folder whose controller is gone; its URL."""
    (folder / "app.py").write_text(APP)
    monkeypatch.chdir(folder)
    with serving(folder) as served:
        served.process.kill()
        served.process.wait()
    return served.url


def test_a_system_without_its_controller_is_seen_and_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = orphaned(tmp_path, monkeypatch)
    assert run_status(None, None, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"app.py at {url}, no controller"
    assert lines[-1] == "nobody restarts what ends; take it over with `kapelle serve app.py`"

    with serving(tmp_path) as successor:
        assert successor.url == url
        assert sum(line.startswith("adopting ") for line in successor.lines) == 3
        assert run_status(None, None, as_json=False) == 0
        capsys.readouterr()


def test_a_stopped_process_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orphaned(tmp_path, monkeypatch)
    run_status(None, None, as_json=True)
    processes = {one["name"]: one["pid"] for one in json.loads(capsys.readouterr().out)["processes"]}
    os.kill(processes["Words-0"], signal.SIGSTOP)
    try:
        assert run_status(None, None, as_json=False) == NOT_SERVING
        assert "Words-0    silent" in capsys.readouterr().out
    finally:
        for pid in processes.values():
            os.kill(pid, signal.SIGKILL)
        RunDir(tmp_path / ".kapelle" / "app").remove()
