"""DNS as a process sees it: what it says is told each time, and what it cannot say just now stays as it was."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from kapelle.transport import discovery
from kapelle.transport.discovery import Discovery, Found

NOBODY = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
ONE, TWO = frozenset({"10.0.0.1"}), frozenset({"10.0.0.1", "10.0.0.2"})

Answers = Mapping[str, frozenset[str] | Exception]


class Names:
    """A resolver with answers that were written down before: those of each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answers) -> None:
        self._answers = answers
        self._found: list[Found] = []
        self._told = asyncio.Event()
        monkeypatch.setattr(discovery, "_EVERY", 0)
        monkeypatch.setattr(discovery, "_addresses", self._look)

    async def ask(self) -> list[Found]:
        """What was found at each look."""
        asking = asyncio.create_task(Discovery({"Encoder": "encoder", "Part": "part"}, self._hear).run())
        await self._told.wait()
        asking.cancel()
        return self._found

    async def _look(self, host: str) -> frozenset[str]:
        answer = self._answers[len(self._found)][host]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _hear(self, found: Found) -> None:
        self._found.append(dict(found))
        if len(self._found) == len(self._answers):
            self._told.set()
            raise asyncio.CancelledError


async def test_who_comes_and_goes_is_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(
        monkeypatch, {"encoder": ONE, "part": NOBODY}, {"encoder": TWO, "part": ONE}, {"encoder": TWO, "part": ONE}
    )
    assert await names.ask() == [
        {"Encoder": ONE, "Part": frozenset()}, {"Encoder": TWO, "Part": ONE}, {"Encoder": TWO, "Part": ONE},
    ]  # fmt: skip


async def test_a_name_that_cannot_be_looked_up_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    fails: Answers = {"encoder": AGAIN, "part": TWO}
    with capture_logs() as logs:
        found = await Names(monkeypatch, {"encoder": ONE, "part": ONE}, fails, fails).ask()
    assert found[1:] == [{"Encoder": ONE, "Part": TWO}] * 2, "the other name is none the worse for it"
    (said,) = logs
    assert (said["name"], said["log_level"]) == ("encoder", "warning")
    assert "Temporary failure" in said["reason"]


async def test_people_are_told_again_when_it_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    well: Answers = {"encoder": ONE, "part": ONE}
    fails: Answers = {"encoder": AGAIN, "part": ONE}
    with capture_logs() as logs:
        await Names(monkeypatch, fails, well, fails, {"encoder": NOBODY, "part": ONE}, fails).ask()
    assert len(logs) == 3


async def test_a_name_that_nobody_has_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        found = await Names(monkeypatch, {"encoder": ONE, "part": ONE}, {"encoder": NOBODY, "part": ONE}).ask()
    assert found[1] == {"Encoder": frozenset(), "Part": ONE}
    assert not logs


async def test_the_real_resolver_is_asked() -> None:
    hosts = {"Here": "127.0.0.7", "Six": "::1", "Nobody": "nobody.invalid", "Wrong": "two..dots", "Long": "x" * 70}
    found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
    with capture_logs() as logs:
        asking = asyncio.create_task(Discovery(hosts, found.set_result).run())
        there = await found
    asking.cancel()
    assert there["Here"] == {"127.0.0.7"}
    assert there["Six"] == {"::1"}
    assert there["Wrong"] == there["Long"] == frozenset()
    assert {"two..dots", "x" * 70} <= {said["name"] for said in logs}


async def test_of_two_kinds_of_addresses_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        async def getaddrinfo(self, *_: object, **__: object) -> list[tuple[object, ...]]:
            six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 0, 0, 0))
            return [six, *((socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in sorted(TWO))]

    monkeypatch.setattr(asyncio, "get_running_loop", Loop)
    assert await discovery._addresses("encoder") == TWO
