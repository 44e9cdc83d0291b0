"""The clients of the demonstration see what is wrong, and judge how each phase ended."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from apps.question_search.demo_clients import DAMAGED, MIXED, Load, Outcome, Phase, Release, quantile
from apps.question_search.demo_memory import Memory


async def test_answers_that_are_wrong_are_seen() -> None:
    answers = iter(
        [
            ("r1", [{"question": "a", "cluster": 0}]),
            ("r1", [{"question": "New: a", "cluster": 0}]),  # of the other release
            ("r2", [{"question": "New: a", "cluster": 0}]),  # it is in cluster 1
            ("r2", [{"question": "New: a", "cluster": 1}]),
            ("r1", []),
            ("r3", [{"question": "a", "cluster": 0}]),
            None,
        ]
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if (one := next(answers, None)) is not None:
            release, matches = one
            body = str({"matches": matches}).replace("'", '"').encode()
            head = f"HTTP/1.1 200 OK\r\nx-kapelle-release: {release}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()
        if one is None:
            ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    releases = [Release("r1", {"a": 0}, Path()), Release("r2", {"New: a": 1}, Path())]
    port = server.sockets[0].getsockname()[1]
    async with server:
        load = Load(f"http://127.0.0.1:{port}", ["a"], 50, releases, Memory([os.getpid()]))
        async with load.running():
            with load.phase("before", "r1", "r1") as phase:
                await ended.wait()
    wrong = [one.wrong for one in phase.outcomes[:6]]
    assert wrong == ["", MIXED, MIXED, "", MIXED, MIXED]
    assert phase.outcomes[6].wrong.startswith("ValueError: no answer")
    assert phase.memory > 1 << 20
    assert phase.answered == Counter({"r1": 3, "r2": 2, "r3": 1})


@pytest.mark.parametrize(
    ("old", "new", "status", "said", "answers", "fine", "words"),
    [
        ("r1", "r1", 0, "", "11", True, "r1 answered"),
        ("r1", "r1", 0, "", "12", False, "answered by r2"),
        ("r1", "r1", 0, "", "", False, "answered by nobody"),
        ("r1", "r2", 0, "r2 committed", "1122", True, "r2 took over after 2.1 s, for good"),
        ("r1", "r2", 0, "r2 committed", "1121", False, "not switched to r2 for good: r2 committed"),
        ("r1", "r2", 1, "r2 refused", "11", False, "not switched to r2 for good: r2 refused"),
        ("r1", "r2", 1, "r2 rolled back", "1122", False, "not switched to r2 for good: r2 rolled back"),
        ("r2", "r2", 1, f"{DAMAGED} has", "22", True, f"refused: {DAMAGED} is damaged"),
        ("r2", "r2", 1, "too late", "22", False, "too late"),
        ("r2", "r2", 0, f"{DAMAGED} has", "22", False, f"{DAMAGED} has"),
    ],
)
def test_how_a_phase_ended(old: str, new: str, status: int, said: str, answers: str, *, fine: bool, words: str) -> None:
    outcomes = [Outcome(100.0 + at, 0.1, f"r{answer}", "") for at, answer in enumerate(answers)]
    assert Phase("", old, new, 100.0, 5.0, status, said, outcomes).end() == (fine, words)


def test_a_quantile_is_one_of_the_values() -> None:
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.25, 0.5, 0.51, 0.99, 1.0)] == [1, 1, 2, 3, 4, 4]
