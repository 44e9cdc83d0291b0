"""One command replays a history, in every process the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kapelle.simulate import __main__ as command
from kapelle.simulate.history import History


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_replay_is_the_history_in_any_process(hash_seed: str) -> None:
    lines: list[str] = []
    History(17, lines.append).live()
    replayed = subprocess.run(
        [sys.executable, "-m", "kapelle.simulate", "--seed", "17"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert replayed.stdout.splitlines() == lines


def test_a_search_says_how_many_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--first", "5", "--count", "3"]) == 0
    assert "3 histories, 0 went wrong" in capsys.readouterr().out


def test_a_search_names_the_command_that_replays_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def violated(self: History) -> None:
        raise self.world.violated("two releases in one answer")

    monkeypatch.setattr(History, "live", violated)
    assert command.main(["--first", "5", "--count", "1"]) == 1
    assert "python -m kapelle.simulate --seed 5  # two releases in one answer" in capsys.readouterr().out
    assert command.main(["--seed", "5"]) == 1
