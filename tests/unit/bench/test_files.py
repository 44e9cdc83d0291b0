from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from kapelle.bench.files import FINISH, PASS_ON, LineClient, Volume
from kapelle.bench.payload import payload, received


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_have_names_of_their_own(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    first, second = volume.write(payload(10)), volume.write(payload(20))
    assert first != second
    assert second.read_bytes() == bytes(payload(20))


async def test_a_stage_takes_a_file_and_gives_another_one(tmp_path: Path) -> None:
    volume, path = Volume(tmp_path), tmp_path / "volume.socket"
    async with await asyncio.start_unix_server(volume.serve, str(path)):
        with closing(LineClient(str(path))) as client:
            written = str(volume.write(payload(5000)))
            passed = await client.send(PASS_ON, written)
            assert passed != written
            assert content(passed) == bytes(payload(5000))
            assert int(await client.send(FINISH, passed)) == received(payload(5000))
    assert names_in(tmp_path) <= {path.name}


async def test_a_stage_that_is_gone_is_an_error(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    path = tmp_path / "volume.socket"
    client = LineClient(str(path))
    async with await asyncio.start_unix_server(hang_up, str(path)):
        with pytest.raises(ConnectionError, match=r"ended the connection|reset by peer"):
            await client.send(FINISH, "a-file")
