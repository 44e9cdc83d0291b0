"""The cache of a machine without a controller: what is needed stays, and what was used of late."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.sources import Sources
from kapelle.artifacts.tidying import tidy
from kapelle.core.rollout_messages import Pointer
from kapelle.observe.metrics import Registry


@pytest.fixture
def fetched(tmp_path: Path) -> dict[str, Path]:
    """Releases r1 to r4, all of them in the cache for long; r4 is current, r3 was before it."""
    objects = FolderObjects(tmp_path / "store")
    found = {}
    for number in range(1, 5):
        file = tmp_path / "artifacts" / "model" / "weights"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
        release, _ = Releases(objects).build("App", tmp_path / "artifacts", ["model"], lambda _: None)
        source = Sources(tmp_path / "artifacts", str(tmp_path / "store"), tmp_path / "cache", Registry()).of(
            release.name
        )
        found[release.name] = source.path("model")
        os.utime(found[release.name].parents[1], (1, 1))
    assert PointerLog(objects).write(Pointer(1, "r4", "r3"), "a test", 0.0)
    return found


def test_what_is_held_here_and_what_may_be_gone_back_to_stays(fetched: dict[str, Path], tmp_path: Path) -> None:
    tidy(tmp_path / "cache", str(tmp_path / "store"), {"r2"})
    assert {name for name, path in fetched.items() if path.exists()} == {"r2", "r3", "r4"}


def test_what_was_used_of_late_stays(fetched: dict[str, Path], tmp_path: Path) -> None:
    os.utime(fetched["r1"].parents[1])
    tidy(tmp_path / "cache", str(tmp_path / "store"), ())
    assert {name for name, path in fetched.items() if path.exists()} == {"r1", "r3", "r4"}


def test_without_a_store_nothing_goes(fetched: dict[str, Path], tmp_path: Path) -> None:
    with capture_logs() as logs:
        tidy(tmp_path / "cache", str(tmp_path / "store"), {"r9"})
    assert all(path.exists() for path in fetched.values())
    assert [one["event"] for one in logs] == ["what nobody needs any more cannot be removed"]
