"""An image's layers are named for what they hold; what lies below ours is the base."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.docker import Docker
from kapelle.deploy.layers import in_words, layers_of
from tests.unit.deploy.fake_docker import VERSION, put_docker

HISTORY = [
    ("100", "\t", "Imported from -"),
    ("5", "\t", "RUN |1 /bin/sh -c echo kapelle"),
    ("0", "\t", "WORKDIR /app"),
    ("70", "\t", "COPY /opt/venv /opt/venv # buildkit"),
    ("4", "\t", "COPY /opt/kapelle /opt/venv # buildkit"),
    ("0", "\t", "LABEL a=b"),
    ("2", "\t", "COPY /app /app # buildkit"),
]


def test_layers_in_words() -> None:
    found = in_words(HISTORY)
    assert [(one.what, one.size) for one in found] == [("base", 105), ("dependencies", 70), ("kapelle", 4), ("code", 2)]


def test_images_share_layers_that_were_made_alike() -> None:
    other = in_words([*HISTORY[:-1], ("3", "\t", "COPY /app /app # buildkit")])
    assert in_words(HISTORY)[:3] == other[:3]
    assert in_words(HISTORY)[3] != other[3]


def test_an_image_of_somebody_else_is_all_base() -> None:
    assert [(one.what, one.size) for one in in_words(HISTORY[:3])] == [("base", 105)]


def test_the_engine_lists_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, VERSION + r"printf '2\tCOPY /app /app # buildkit\n9\tFROM\n'")
    assert [(one.what, one.size) for one in layers_of(Docker(), "x")] == [("base", 9), ("code", 2)]
