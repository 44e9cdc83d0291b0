from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from apps.folders import ABANDONED_AFTER, replacing


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(target: Path, name: str, text: str) -> None:
    with replacing(target) as fresh:
        (fresh / name).write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    write(target, "one", "1")
    assert tree(tmp_path) == {"deep/target/one": "1"}
    write(target, "two", "2")
    assert tree(tmp_path) == {"deep/target/two": "2"}


def test_until_then_the_other_is_there(tmp_path: Path) -> None:
    write(tmp_path / "target", "one", "1")
    with replacing(tmp_path / "target") as fresh:
        (fresh / "two").write_text("2")
        assert tree(tmp_path / "target") == {"one": "1"}
        assert fresh.parent == tmp_path  # on the same file system: a rename, not a copy


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_a_failure_nothing_has_changed(error: type[BaseException], tmp_path: Path) -> None:
    write(tmp_path / "target", "one", "1")

    def fail() -> None:
        with replacing(tmp_path / "target") as fresh:
            (fresh / "two").write_text("2")
            raise error

    with pytest.raises(error):
        fail()
    assert tree(tmp_path) == {"target/one": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_killed_builds_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / ".target.1.new", tmp_path / ".target.2.new"
    for folder, age in ((old, ABANDONED_AFTER + 60), (young, 60)):
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    write(tmp_path / "target", "one", "1")
    assert not old.exists()
    assert young.exists()
