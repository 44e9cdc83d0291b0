from __future__ import annotations

from pathlib import Path

import pytest

from images import APPS, Figures, naive, own, row
from kapelle.declare.loading import Target
from kapelle.deploy.images import plan_images

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("app", APPS)
def test_what_is_changed_is_in_the_context(app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = Target(str(ROOT / "apps" / app))
    images = plan_images(target, target.load())
    for way in (own(images), naive(images)):
        assert (way.context / way.code).is_file()
        assert (way.context / way.first).is_file()
        assert (way.context / way.images[0].dockerfile).is_file()


def test_figures_in_a_line() -> None:
    said = row("search", "one stage", Figures(451_000_000, 30.04, 1.26, 221_000))
    assert said == "| search | one stage | 451 MB | 30.0 s | 1.3 s | 0.2 MB |"
