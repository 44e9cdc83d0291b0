from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kapelle.bench.figures import Comparison
from kapelle.bench.own import Effort
from kapelle.cli import bench
from kapelle.cli.bench import effort_of, refuse_without_compare, run_bench, run_compare
from kapelle.errors import ConfigError
from tests.unit.bench.made_up import COMPARISON

APP = """
import kapelle

@kapelle.app
class Sizes:
    @kapelle.post("/size")
    async def size(self, text: str) -> int:
        return len(text)

    @kapelle.post("/files")
    async def files(self, file: kapelle.Upload) -> int:
        return len(file.data)
"""
EFFORT = Effort(0.05, 2)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    return "app.py"


def test_reads_how_long_and_with_how_many_callers() -> None:
    assert effort_of("1", 8) == Effort(1.0, 8)
    assert effort_of("200ms", 1) == Effort(0.2, 1)


@pytest.mark.parametrize(
    ("seconds", "concurrency", "said"),
    [
        ("0.01", 8, "--seconds 0.01"),
        ("long", 8, "--seconds long: expected a number"),
        ("1", 0, "--concurrency 0: expected 1 to"),
    ],
)
def test_refuses_what_measures_nothing(seconds: str, concurrency: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        effort_of(seconds, concurrency)


def test_measures_the_own_request(target: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_bench(target, None, None, EFFORT, None) == 0
    out, err = capfd.readouterr()
    assert "starting Sizes" in err
    assert "POST /size, 16 B" in out
    assert "shared memory" in out
    assert "kapelle bench app.py --compare" in out


def test_without_a_request_there_is_nothing_to_measure(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "request_of", lambda *_: None)
    with pytest.raises(ConfigError, match=r"no request to Sizes can be made up; give its body with --request FILE"):
        run_bench(target, None, None, EFFORT, None)


def test_what_only_a_comparison_has_is_not_passed_over() -> None:
    refuse_without_compare(sizes=None, out=None)
    with pytest.raises(ConfigError, match="--out folder: only --compare has that"):
        refuse_without_compare(sizes=None, out="folder")


def compare_with(target: str, *, sizes: str = "1KB", volume: str | None = None, out: str | None = None) -> int:
    return run_compare(target, None, None, EFFORT, None, sizes, volume, out)


def test_a_comparison_is_printed_concluded_from_and_written(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def compare(*_: object) -> Comparison:
        return COMPARISON

    monkeypatch.setenv("COLUMNS", "80")  # as in a pipe
    monkeypatch.setattr(bench, "compare", compare)
    assert compare_with(target, out="new/folder") == 0
    out, err = capsys.readouterr()
    assert "…" not in out
    assert "this takes about" in err
    assert "shared memory wins" in out
    written = tmp_path / "new" / "folder"
    assert {path.name for path in written.iterdir()} == {"compare.md", "compare.svg", "compare.json"}
    assert msgspec.json.decode((written / "compare.json").read_bytes(), type=Comparison) == COMPARISON


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sizes": "many"}, "--sizes many"),
        ({"volume": "missing"}, "--volume missing is no folder"),
        ({"out": "app.py"}, r"--out app\.py cannot be made"),
        ({"volume": "/proc"}, "--volume /proc cannot be written to: No such file"),
        ({"out": "/proc"}, "--out /proc cannot be written to: No such file"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_measured(target: str, wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compare_with(target, **wrong)
