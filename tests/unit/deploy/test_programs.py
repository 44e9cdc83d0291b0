from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kapelle.deploy.programs import Program, kubectl, last_lines
from kapelle.errors import DeployError

PYTHON = Program(sys.executable, "install it")


def test_gives_what_is_printed(tmp_path: Path) -> None:
    assert PYTHON.run("-c", "import os; print(os.getcwd())", folder=tmp_path).strip() == str(tmp_path)


def test_a_failure_tells_the_last_words() -> None:
    with pytest.raises(DeployError, match=r"`.*python.* -c .*` failed: no room left"):
        PYTHON.run("-c", "import sys; sys.exit('no room left')")


def test_a_program_that_is_missing_is_named_with_the_next_step() -> None:
    with pytest.raises(DeployError, match="there is no nowhere-to-be-found on this machine; install it"):
        Program("nowhere-to-be-found", "install it").run("version")
    assert "kubernetes.io" in kubectl()._hint


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(DeployError, match=r"took longer than 0\.1 s"):
        PYTHON.run("-c", "input() if False else __import__('threading').Event().wait()", timeout=0.1)


def test_records_come_in_lines_or_in_an_array() -> None:
    assert PYTHON.records("-c", r"print('{\"a\": 1}\n{\"a\": 2}')") == [{"a": 1}, {"a": 2}]
    assert PYTHON.records("-c", r"print('[{\"a\": 1}]')") == [{"a": 1}]


def test_a_log_is_on_both_streams_and_empty_where_there_is_none() -> None:
    assert PYTHON.log("-c", "import sys; print('out'); print('err', file=sys.stderr)") == "out\nerr\n"
    assert PYTHON.log("-c", "raise SystemExit(1)") == ""
    assert PYTHON.log("-c", r"import os; os.write(1, b'caf\xe9')") == "caf\N{REPLACEMENT CHARACTER}"
    assert Program("nowhere-to-be-found", "install it").log("logs") == ""


def test_whether_it_succeeds() -> None:
    assert PYTHON.succeeds("-c", "")
    assert not PYTHON.succeeds("-c", "raise SystemExit(3)")


def test_the_end_of_a_log() -> None:
    assert last_lines(" one \n") == "one"
    assert last_lines("") == "it said nothing"
    assert last_lines("\n".join(map(str, range(100)))).split() == [str(number) for number in range(88, 100)]


def test_a_log_in_json_is_told_in_words_and_what_is_said_again_and_again_once() -> None:
    record = '{"event": "the replica did not start", "exception": "Traceback\\n  File x\\nValueError: no weights"}'
    assert last_lines(f"{record}\n{record}\n") == "the replica did not start: ValueError: no weights"
    assert last_lines('{"event": "waiting", "reason": "no release"}') == "waiting: no release"
    assert last_lines('["no record"]') == '["no record"]'
