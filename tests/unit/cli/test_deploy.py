from __future__ import annotations

import pytest

from kapelle.cli import main as cli


@pytest.mark.parametrize("verb", ["deploy", "down"])
@pytest.mark.parametrize("engine", ["compose", "swarm", "kubernetes"])
def test_each_verb_explains_its_options(
    verb: str, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["kapelle", verb, engine, "--help"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert not exited.value.code
    shown = capsys.readouterr().out
    assert f"kapelle {verb} {engine}" in shown
    options = [line for line in shown.splitlines() if line.startswith("│ --")]
    assert all(len(line.strip("│ ").split("  ", 1)) == 2 for line in options), "an option without an explanation"


def test_an_engine_has_to_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["kapelle", "deploy", "nomad", "app.py"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == cli.WRONG_USAGE
    assert "nomad" in capsys.readouterr().err
