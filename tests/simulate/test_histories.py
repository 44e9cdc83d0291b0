"""Ten thousand histories of a system in which everything goes wrong: none may mix, lose or stall anything."""

from __future__ import annotations

import pytest

from kapelle.simulate.history import History
from kapelle.simulate.world import Violation

PARTS = 10
EACH = 1000


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_that_must_not_happen_happens(part: int) -> None:
    for seed in range(part * EACH, (part + 1) * EACH):
        try:
            History(seed).live()
        except Violation as violation:
            pytest.fail(f"{violation}\nReplay it with: python -m kapelle.simulate --seed {seed}", pytrace=False)


def test_the_storm_reaches_every_end() -> None:
    """Histories in which nothing is committed, refused and rolled back would prove nothing."""
    lines: list[str] = []
    for seed in range(200):
        History(seed, lines.append).live()
    text = "\n".join(lines)
    for happening in (
        "'committed'",
        "'refused'",
        "'rolled back'",
        "taking over",
        "a message is lost",
        "died while they built it",
        "golden query",
        "could not load it",
        "another controller took over",
        "not publishing",
    ):
        assert happening in text, f"no history in which {happening!r} is said"
