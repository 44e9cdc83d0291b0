"""``kapelle start``: the words of the command line come to the process that is meant."""

from __future__ import annotations

from typing import Any

import pytest

from kapelle.cli import start_verbs
from kapelle.cli.start import start_app


@pytest.mark.parametrize(
    ("words", "verb", "given"),
    [
        ("gateway app.py", "start_gateway", ("app.py",)),
        ("replica app.py Encoder", "start_replica", ("app.py", "Encoder")),
        ("controller app.py", "start_controller", ("app.py",)),
        ("door", "start_door", ()),
    ],
)
def test_each_process_has_its_command(
    words: str, verb: str, given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[Any, ...]] = []

    def start(*arguments: str) -> int:
        called.append(arguments)
        return 0

    monkeypatch.setattr(start_verbs, verb, start)
    assert start_app(words, result_action="return_value") == 0
    assert called == [given]
