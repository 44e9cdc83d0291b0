"""``kapelle status`` and ``kapelle call`` in good days and in bad ones: what they print, and their exit statuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.integration.processes.serving import ORCHESTRA, ask_status, gone, kapelle, pids, serving


async def test_status_and_call_through_the_life_of_a_system(tmp_path: Path) -> None:
    here = ("--run-dir", "run")
    double = ("call", "Doubler.double", "21", *here)
    assert await kapelle(tmp_path, "status", *here) == (
        3, "", "kapelle: nothing runs from run; start an app with `kapelle serve TARGET`\n",
    )  # fmt: skip
    code, _, errors = await kapelle(tmp_path, *double)
    assert code == 1
    assert errors.startswith("kapelle: nothing runs from run")

    async with serving(tmp_path) as system:
        code, shown, _ = await kapelle(tmp_path, "status", *here)
        assert code == 0
        assert f"at {system.url}, controller {system.process.pid}" in shown
        assert "3 of 3 processes serve" in shown
        assert await kapelle(tmp_path, *double) == (0, "42\n", "")

        await system.killed()
        orphans = pids(await ask_status(tmp_path))
        code, shown, _ = await kapelle(tmp_path, "status", *here)
        assert (code, "no controller" in shown, f"kapelle serve {ORCHESTRA}" in shown) == (0, True, True)
        assert await kapelle(tmp_path, *double) == (0, "42\n", "")

        os.kill(orphans["Doubler-0"], signal.SIGSTOP)
        code, said, _ = await kapelle(tmp_path, "status", *here, "--json")
        found = json.loads(said)
        assert code == 1
        assert (found["controller"], found["url"], found["target"]) == (0, system.url, ORCHESTRA)
        assert {one["name"]: one["phase"] for one in found["processes"]} == {
            "Doubler-0": "silent", "Doubler-1": "serving", "gateway-0": "serving",
        }  # fmt: skip
        assert await kapelle(tmp_path, *double) == (0, "42\n", ""), "by the one that answers"

        for pid in orphans.values():
            os.kill(pid, signal.SIGKILL)
        await gone(orphans.values())
        assert (await kapelle(tmp_path, "status", *here))[0] == 3


async def test_the_settings_of_a_folder_are_shown_with_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "kapelle.toml").write_text('hang_timeout = "2s"\n')
    code, shown, _ = await kapelle(tmp_path, "config")
    assert code == 0
    (line,) = (line for line in shown.splitlines() if line.startswith("hang_timeout"))
    assert line.split()[1:3] == ['"2s"', "kapelle.toml"]
    (tmp_path / "kapelle.toml").write_text('hang_timeout = "0s"\n')
    code, _, errors = await kapelle(tmp_path, "config")
    assert (code, errors) == (1, "kapelle: kapelle.toml: hang_timeout = 0.0: Expected `float` >= 0.1\n")
