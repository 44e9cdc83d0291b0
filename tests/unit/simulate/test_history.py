"""A seed is a history."""

from __future__ import annotations

from kapelle.simulate.history import History


def lines_of(seed: int) -> list[str]:
    lines: list[str] = []
    History(seed, lines.append).live()
    return lines


def test_the_same_seed_is_the_same_history() -> None:
    assert lines_of(17) == lines_of(17)


def test_watching_does_not_change_what_happens() -> None:
    silent, watched = History(17), History(17, lambda _: None)
    silent.live()
    watched.live()
    assert silent.world.log == watched.world.log
    assert silent.world.now == watched.world.now


def test_other_seeds_are_other_histories() -> None:
    assert len({"\n".join(lines_of(seed)) for seed in range(5)}) == 5
