from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.unit.cli.served import APP, KAPELLE, Served, serving


def test_tells_what_it_does_and_how_to_ask(served: Served) -> None:
    lines = served.lines
    assert lines[0] == "starting Speaker"
    assert "  Words: 2 replicas" in lines
    assert "  Inner: inline, in the gateway" in lines
    steps = [line for line in lines if " is ready after " in line]
    assert [line[-8:] for line in steps] == ["(1 of 3)", "(2 of 3)", "(3 of 3)"]
    assert lines[-4:] == [
        f"Speaker is ready at {served.url}",
        f"  docs  {served.url}/docs",
        f'  try   curl -d \'{{"word": "text"}}\' {served.url}/upper',
        "  stop  Ctrl-C",
    ]
    assert httpx.post(f"{served.url}/upper", json={"word": "a"}, trust_env=False).text == "A"


def test_is_plain_where_nobody_looks(served: Served) -> None:
    assert not any("\x1b" in line or "\r" in line for line in served.lines)


def test_ends_clean_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with serving(tmp_path) as served:
        assert (tmp_path / ".kapelle").is_dir()
    assert served.lines[-1] == "stopped; nothing was left behind"
    assert not (tmp_path / ".kapelle").exists()


def test_a_file_of_the_users_stands_for_no_module_of_ours(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    for name in ("msgspec", "selectors", "kapelle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(__name__)")
    with serving(tmp_path) as served:
        answer = httpx.post(f"{served.url}/upper", json={"word": "a"}, timeout=30)
    assert answer.text == "A"


def test_a_second_one_is_refused_in_one_line(served: Served) -> None:
    refused = subprocess.run(
        [KAPELLE, "serve", "app.py"], cwd=served.folder, capture_output=True, text=True, check=False, timeout=30
    )
    assert refused.returncode == 1
    assert "a controller already runs" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_refused_in_one_line(served: Served, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = served.url.rpartition(":")[2]
    refused = subprocess.run(
        [KAPELLE, "serve", "app.py", "--port", port],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"kapelle: cannot listen on 127.0.0.1:{port}")
    assert refused.stderr.count("\n") == 1


def test_a_missing_artifact_is_refused_in_one_line(tmp_path: Path) -> None:
    code = APP.replace("@kapelle.app\n", '@kapelle.app(artifact="index")\n')
    (tmp_path / "app.py").write_text(code)
    refused = subprocess.run(
        [KAPELLE, "serve", "app.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("kapelle: no artifact 'index' in ")
    assert "--artifacts" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal(tmp_path: Path, *, colours: bool) -> None:
    (tmp_path / "app.py").write_text(APP)
    ours, its = pty.openpty()
    environment = {**os.environ, "KAPELLE_PORT": "0", "TERM": "xterm-256color", "COLUMNS": "80"}
    environment |= {} if colours else {"NO_COLOR": "1"}
    process = subprocess.Popen(
        [KAPELLE, "serve", "app.py"], cwd=tmp_path, env=environment, stdin=its, stdout=its, stderr=subprocess.DEVNULL
    )
    os.close(its)
    shown = ""
    try:
        while "stop  Ctrl-C" not in shown:
            shown += os.read(ours, 4096).decode()
    finally:
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # Linux: the terminal's last user is gone
                process.wait(timeout=30)
        os.close(ours)
    assert process.returncode == 0
    assert ("\x1b[32mhttp://" in shown) is colours
    # What the terminal shows for the key is taken away before the next line.
    assert "\r\x1b[2Kdraining" in shown
