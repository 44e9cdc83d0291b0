from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from kapelle.cli import main as cli
from kapelle.config.settings import Settings


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["kapelle", *arguments])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return exited.value.code


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_its_verbs_in_the_order_of_their_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(monkeypatch, "--help")
    shown = capsys.readouterr().out
    places = [shown.index(f"│ {verb} ") for verb in ("serve", "status", "call", "config", "bench")]
    assert places == sorted(places)


@pytest.mark.parametrize("verb", ["serve", "status", "call", "config", "bench"])
def test_explains_each_verb(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert not run(monkeypatch, verb, "--help")
    shown = capsys.readouterr().out
    assert f"kapelle {verb}" in shown
    assert max(map(len, shown.splitlines())) <= 80
    options = [line for line in shown.splitlines() if line.startswith("│ --")]
    assert all(len(line.strip("│ ").split("  ", 1)) == 2 for line in options), "an option without an explanation"


def test_is_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kapelle", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == version("kapelle")


def test_options_of_serve_are_settings() -> None:
    options = set(inspect.signature(cli.serve).parameters) - {"target"}
    assert options <= set(Settings.__struct_fields__)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["srv"], "kapelle: Unknown command"),
        (["serve"], "TARGET requires an argument. See `kapelle serve --help`."),
        (["serve", "app.py", "--prt", "1"], "--prt. Did you mean --port? See `kapelle serve --help`."),
        (
            ["serve", "app.py", "--port", "many"],
            "kapelle: Invalid value for --port: expected a whole number, not 'many'. See `kapelle serve --help`.",
        ),
        (["serve", "app.py", "--gateways", "1.5"], "--gateways: expected a whole number, not '1.5'."),
        (["call", "A.b", "--shard", "0x1"], "--shard: expected a whole number, not '0x1'."),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == cli.WRONG_USAGE
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "nowhere.py"], "kapelle: nowhere.py: no such file"),
        (["serve", "nowhere"], "kapelle: nowhere: there is no module 'nowhere'"),
        (["serve", "."], "kapelle: .: the folder has no app.py; name the file that declares the app"),
        (["call", "A.b"], "kapelle: nothing runs from this folder; start an app with `kapelle serve TARGET`"),
    ],
)
def test_errors_are_one_line(arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = run(monkeypatch, *arguments)
    assert isinstance(code, str)  # Python prints it on stderr and exits with 1
    assert code.startswith(told)
    assert "\n" not in code


def test_a_wrong_setting_names_its_source(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty / "kapelle.toml").write_text("prt = 1\n")
    assert run(monkeypatch, "config") == ("kapelle: kapelle.toml: unknown setting 'prt'; did you mean port?")


def test_tells_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(monkeypatch, "--version")
    assert capsys.readouterr().out.strip() == version("kapelle")


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("kapelle.cli.config.run_config", interrupt)
    assert run(monkeypatch, "config") == cli.INTERRUPTED
    assert capsys.readouterr().err == ""
