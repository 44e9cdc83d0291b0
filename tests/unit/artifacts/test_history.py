"""What is written down of publishes is found again."""

from __future__ import annotations

from pathlib import Path

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.history import Ending, History


def test_the_last_ending_of_each_release_is_found(tmp_path: Path) -> None:
    history = History(FolderObjects(tmp_path))
    assert history.latest() == {}
    endings = [
        Ending(release="r1", outcome="refused", reason="NaN", at=1.5),
        Ending(release="r2", outcome="committed", reason="entry 2", at=2.5),
        Ending(release="r1", outcome="committed", reason="entry 3", at=30.5),
    ]
    for ending in endings:
        history.add(ending)
    assert history.latest() == {"r1": endings[2], "r2": endings[1]}


def test_what_a_newer_kapelle_wrote_is_in_nobodys_way(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    history = History(objects)
    assert objects.create("history/9-r9.json", b'{"release": 9}')
    ending = Ending(release="r1", outcome="refused", reason="NaN", at=1.5)
    history.add(ending)
    assert history.latest() == {"r1": ending}
