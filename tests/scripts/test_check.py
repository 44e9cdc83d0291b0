"""Every check runs, whatever became of those before it, and the table says how each went."""

from __future__ import annotations

import pytest

from scripts import check
from scripts.check import FAST, FULL, Check, main


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that runs this test has all that the checks need."""
    monkeypatch.setattr(check, "run_steps", lambda steps: None)


def use(monkeypatch: pytest.MonkeyPatch, *codes: str) -> None:
    monkeypatch.setattr(check, "FULL", [Check(code, f"python -c '{code}'") for code in codes])


def test_all_run_and_one_failure_fails_all(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    use(monkeypatch, "raise SystemExit(1)", "print(1 + 1)")
    assert main([]) == 1
    *_, output, _, first, second = capfd.readouterr().out.splitlines()
    assert output == "2"
    assert "FAILED" in first
    assert "passed" in second


def test_passes_when_all_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "pass", "pass")
    assert main([]) == 0


def test_the_quick_checks_are_part_of_all() -> None:
    house = next(each for each in FAST if each.name == "house rules")
    assert set(FAST) - {house} < set(FULL)
    assert house.command.startswith(FULL[-1].command)
