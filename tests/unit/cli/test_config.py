from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from kapelle.cli.config import run_config, setting_meanings, shown
from kapelle.config.settings import Settings, load


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("KAPELLE_"):
            monkeypatch.delenv(name)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    assert run_config() == 0
    return capsys.readouterr().out


def test_lists_every_setting_in_two_lines_that_fit_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(capsys).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(Settings.__struct_fields__)
    assert max(map(len, lines)) <= 80
    assert lines[:2] == ['host               "127.0.0.1"  default', "    Address the gateways listen on."]


def test_takes_one_line_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = printed(capsys).splitlines()
    assert len(lines) == len(Settings.__struct_fields__)
    assert lines[0] == 'host               "127.0.0.1"  default  Address the gateways listen on.'


def test_says_where_a_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kapelle.toml").write_text('drain_timeout = "2m"\nport = 1\n')
    monkeypatch.setenv("KAPELLE_PORT", "9000")
    rows = [line.split() for line in printed(capsys).splitlines()]
    assert ["port", "9000", "KAPELLE_PORT"] in rows
    assert ["drain_timeout", '"120s"', "kapelle.toml"] in rows


def test_values_are_written_as_in_the_file(tmp_path: Path) -> None:
    before = load(folder=tmp_path, environment={"KAPELLE_KEEP_ALIVE": "1.5s", "KAPELLE_ACCESS_LOG": "false"}).settings
    text = "\n".join(f"{name} = {shown(getattr(before, name))}" for name in Settings.__struct_fields__)
    tomllib.loads(text)
    (tmp_path / "kapelle.toml").write_text(text)
    assert load(folder=tmp_path, environment={}).settings == before


def test_every_setting_is_explained() -> None:
    meanings = setting_meanings()
    assert list(meanings) == list(Settings.__struct_fields__)
    assert all(meaning.endswith(".") for meaning in meanings.values())
