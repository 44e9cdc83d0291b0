"""The demonstration of an update, for real and in small: what it prints, how it ends, and what is left of it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from apps.question_search.demo import STATE, main
from apps.question_search.demo_clients import DAMAGED
from tests.house.sources import ROOT

ROW = r"^ *{} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +\d+ +\d+ +([\d,]+) MiB +[\d.]+ s .*{}"


async def started(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "apps.question_search.demo", *options, cwd=ROOT, stdout=-1, stderr=-2
    )


def left_behind(before: set[Path]) -> list[str]:
    """Folders of demonstrations that were not there before, and processes that run in one of those."""
    places = list(STATE.glob("demo-*"))
    for one in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended, or is somebody else's
            places.append(one.readlink())
    return [str(place) for place in places if place.name.startswith("demo-") and place not in before]


async def test_an_update_under_load_loses_and_mixes_nothing() -> None:
    before = set(STATE.glob("demo-*"))
    process = await started("--seconds", "1", "--rate", "20")
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    rows = {
        "before": "r1 answered",
        "publish r2": "r2 took over after",
        "corrupt r3": f"refused: {DAMAGED}",
        "rollback": "r1 took over after",
    }
    counts = {}
    for name, outcome in rows.items():
        row = re.search(ROW.format(name, re.escape(outcome)), output, re.MULTILINE)
        assert row, output
        counts[name] = [int(one.replace(",", "")) for one in row.groups()]
    for requests, failed, by_r1, by_r2, mixed, _ in counts.values():
        assert (failed, mixed) == (0, 0)
        assert requests == by_r1 + by_r2 >= 15
    assert counts["before"][3] == counts["corrupt r3"][2] == 0
    assert min(*counts["publish r2"][2:4], *counts["rollback"][2:4]) > 0
    assert counts["before"][5] < counts["publish r2"][5] < 2 * counts["before"][5], "two releases beside each other"
    assert left_behind(before) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_leaves_nothing_behind(sent: signal.Signals) -> None:
    before = set(STATE.glob("demo-*"))
    process = await started()
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if "Building r2" in lines[-1]:  # the system serves, and a builder has begun
            process.send_signal(sent)
    assert await process.wait() == 130, lines
    assert "nothing is left behind" in lines[-1]
    assert left_behind(before) == []


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--rate", "nan"], ["--rate", "0"], ["--seconds", "soon"]])
def test_options_that_make_no_sense(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert "--" in capsys.readouterr().err
