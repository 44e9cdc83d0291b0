from __future__ import annotations

import json
from pathlib import Path

import pytest

from kapelle.cli.call import run_call
from kapelle.cli.project import Running
from kapelle.errors import DeadlineExceeded, InvalidInput, KapelleError


def call(name: str, *texts: str, target: str | None = None, shard: int = 0, timeout: str = "20s") -> int:
    return run_call(name, list(texts), target, shard, None, timeout)


@pytest.mark.usefixtures("in_served")
class TestAgainstARunningSystem:
    def test_prints_the_result_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.upper", "straße") == 0
        assert json.loads(capsys.readouterr().out) == "STRASSE"

    def test_takes_json_and_plain_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.repeat", "12", "3") == 0
        assert call("Words.repeat", '"ab"') == 0
        assert capsys.readouterr().out == '"121212"\n"abab"\n'

    def test_prints_a_line_per_item_of_a_stream(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.letters", "abc") == 0
        assert capsys.readouterr().out == '"a"\n"b"\n"c"\n'

    def test_takes_what_looks_like_json_as_text_where_a_text_may_be(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.letters", "12") == 0
        assert call("Words.letters", "null") == 0
        assert capsys.readouterr().out == '"1"\n"2"\n'

    def test_finds_the_app_by_name_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.upper", "a", target="app.py") == 0
        assert capsys.readouterr().out == '"A"\n'

    def test_shows_the_traceback_of_user_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.repeat", "a", "-1") == 1
        shown = capsys.readouterr().err
        assert shown.startswith("Traceback")
        assert 'raise ValueError("a negative number of times")' in shown
        assert shown.endswith("ValueError: a negative number of times\n")

    def test_shows_other_errors_in_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.repeat", "a", "10") == 1
        assert capsys.readouterr().err == "kapelle: invalid-input: expected at most 9 (at times)\n"

    @pytest.mark.parametrize(
        ("name", "texts", "message"),
        [
            ("Letters.upper", ["a"], "Speaker has no service 'Letters'; it has Words, Inner"),
            ("Words", ["a"], "'Words' names no method; there is Words.letters, Words.repeat, Words.upper"),
            ("Words.lower", ["a"], "Words has no method 'lower'; there is Words.letters, Words.repeat, Words.upper"),
            ("Inner.same", ["a"], "Inner is inline: it lives in the gateway and cannot be called from here"),
            ("Words.upper", [], "upper takes (words); got no arguments"),
            ("Words.repeat", ["a", "1", "2"], "repeat takes (word, times); got 3 arguments"),
            ("Words.repeat", ["a", "x"], "times: Expected `int`, got `str`"),
            ("Words.upper", ["\udcff"], r"words: '\udcff' is no text in UTF-8"),
        ],
    )
    def test_refuses_what_cannot_be_called(self, name: str, texts: list[str], message: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            call(name, *texts)
        assert refused.value.detail == message

    def test_says_when_no_replica_runs(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(Running, "records", [])
        assert call("Words.upper", "a") == 1
        assert "no replica of Words runs" in capsys.readouterr().err

    def test_refuses_a_shard_of_a_service_that_has_none(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            call("Words.upper", "a", shard=7)
        assert refused.value.detail == "Words has no shards; leave out --shard 7"

    def test_gives_up_in_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("Words.upper", "a", timeout="0s") == 1
        assert capsys.readouterr().err.startswith(("kapelle: unavailable:", f"kapelle: {DeadlineExceeded.code}:"))


def test_needs_a_running_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KapelleError, match="nothing runs from this folder"):
        call("Words.upper", "a")
