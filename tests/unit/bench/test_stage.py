from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kapelle.bench import files, server
from kapelle.bench.client import HttpClient, Request
from kapelle.bench.payload import payload, received
from kapelle.bench.stage import LOOPBACK, started
from kapelle.control.exits import birth
from kapelle.errors import StartError


async def test_serves_http_and_ends(tmp_path: Path) -> None:
    async with started("http", tmp_path) as stage:
        with closing(HttpClient(LOOPBACK, int(stage.address))) as client:
            answer = await client.send(Request("POST", server.FINISH, payload(9000).data))
        assert int(answer.body) == received(payload(9000))
        assert birth(stage.pid)
    assert not birth(stage.pid)


async def test_serves_files_of_a_volume(tmp_path: Path) -> None:
    async with started("files", tmp_path) as stage:
        with closing(files.LineClient(stage.address)) as client:
            path = files.Volume(tmp_path).write(payload(9000))
            assert int(await client.send(files.FINISH, str(path))) == received(payload(9000))


async def test_one_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    async with started("http", tmp_path) as stage:
        os.kill(stage.pid, signal.SIGKILL)
    assert not birth(stage.pid)


async def test_a_volume_may_have_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    volume = tmp_path / ("long" * 30)
    async with started("files", volume) as stage:
        assert birth(stage.pid)


async def test_one_that_does_not_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    with pytest.raises(StartError, match="a stage for files did not start"):
        async with started("files", tmp_path):
            pass
