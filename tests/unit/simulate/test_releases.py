"""Releases differ in shards and flaws, and only some flaws can be found before traffic."""

from __future__ import annotations

from random import Random

from kapelle.simulate.releases import Flaw, draw


def test_all_flaws_and_numbers_of_shards_are_drawn() -> None:
    random = Random(1)
    drawn = [draw(random, "r2", sound=False) for _ in range(300)]
    assert {release.flaw for release in drawn} == set(Flaw)
    assert {len(release.shape.services["cluster"]) for release in drawn} == {1, 2, 3, 4}
    assert all(release.shard < len(release.shape.services["cluster"]) for release in drawn)


def test_a_sound_release_has_no_flaw() -> None:
    random = Random(1)
    assert {draw(random, "r1", sound=True).flaw for _ in range(50)} == {Flaw.NONE}


def test_what_only_traffic_can_find_may_be_committed() -> None:
    random = Random(1)
    drawn = [draw(random, "r2", sound=False) for _ in range(300)]
    assert {release.flaw for release in drawn if not release.must_not_be_committed} == {Flaw.NONE, Flaw.WORSE}
