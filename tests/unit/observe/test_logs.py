"""Everything that a process says is one line of one stream, with where it comes from and which request it belongs to.

Logging is set up once per process, so each test has a process of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

PREAMBLE = """
import asyncio, logging, sys, threading, warnings
import structlog
from kapelle.declare.context import RequestContext, enter_request
from kapelle.observe.logs import capture_prints, configure

log = structlog.get_logger()
"""


def run(code: str, *, format: str = "json", level: str = "info") -> tuple[str, str]:
    """What a process that runs ``code`` writes to its standard output and error."""
    start = f'configure(format="{format}", level="{level}", service="Encoder", replica="Encoder-0")\n'
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + start + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def lines_of(code: str, *, level: str = "info") -> list[dict[str, Any]]:
    output, errors = run(code, level=level)
    assert output == "", "there is one stream only"
    return [json.loads(line) for line in errors.splitlines()]


def test_a_line_says_when_where_how_bad_and_what() -> None:
    (line,) = lines_of('log.warning("a thing\\nhappened", count=3, text="ü")')
    when = dt.datetime.fromisoformat(line.pop("timestamp"))
    assert abs(dt.datetime.now(dt.UTC) - when) < dt.timedelta(minutes=1)
    assert line == {
        "event": "a thing\nhappened",
        "level": "warning",
        "service": "Encoder",
        "replica": "Encoder-0",
        "count": 3,
        "text": "ü",
    }


def test_lines_belong_to_the_request_in_hand() -> None:
    code = """
    async def serve(name, trace):
        enter_request(RequestContext(name, trace, 1.0))
        await asyncio.sleep(0)
        log.info("served")
        logging.getLogger("library").warning("used")

    async def relay():
        enter_request(RequestContext("c", "", 1.0))
        log.info("of another", request="given")

    async def main():
        await asyncio.gather(serve("a", ""), serve("b", "00-1-2-01"))
        await asyncio.create_task(relay())
        log.info("outside")

    asyncio.run(main())
    """
    found = [(line["event"], line.get("request"), line.get("trace")) for line in lines_of(code)]
    assert sorted(found[:4]) == [
        ("served", "a", None),
        ("served", "b", "00-1-2-01"),
        ("used", "a", None),
        ("used", "b", "00-1-2-01"),
    ]
    assert found[4:] == [("of another", "given", None), ("outside", None, None)]


def test_a_traceback_is_a_part_of_its_line() -> None:
    code = """
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("it failed")
        logging.getLogger("library").exception("it failed too")
    """
    for line in lines_of(code):
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_exception_that_cannot_be_written_is_logged_as_far_as_it_can(format: str) -> None:
    code = """
    try:
        raise SyntaxError("no comma", ("model.txt", 2, 3, b"a b"))
    except SyntaxError:
        log.exception("it failed")
        logging.getLogger("library").exception("it failed too")
    log.info("and on it goes")
    """
    _, errors = run(code, format=format)
    assert "in <module>" in errors
    assert errors.count("SyntaxError: (no text: ") == 2
    assert "and on it goes" in errors


def test_what_is_printed_becomes_lines() -> None:
    code = """
    capture_prints()
    assert sys.stdout.writable()
    enter_request(RequestContext("r-1", "", 1.0))
    print("one", "two")
    print("three\\nfour\\n\\n   ")
    print("fi", end="")
    print("ve")
    print("six", file=sys.stderr)
    print("100 % {of} it", end="", flush=True)
    sys.stdout.flush()
    warnings.warn("seven")
    print("at the end", end="")
    """
    lines = lines_of(code)
    assert [line["event"] for line in lines[:6]] == ["one two", "three", "four", "five", "six", "100 % {of} it"]
    assert [line["stream"] for line in lines[:6]] == ["stdout", "stdout", "stdout", "stdout", "stderr", "stdout"]
    assert all(line["request"] == "r-1" for line in lines)
    assert "UserWarning: seven" in lines[6]["event"]
    assert lines[-1]["event"] == "at the end", "what was begun is not lost at the exit"


def test_what_writes_bytes_or_sets_up_its_output_finds_what_it_expects() -> None:
    code = """
    import faulthandler, io, subprocess
    capture_prints()
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    assert sys.stdout.encoding == "utf-8"
    sys.stdout.buffer.write("one ü\\n".encode())
    sys.stdout.buffer.write(bytearray(b"two \\xff\\n"))
    sys.stdout.buffer.flush()
    print("three", file=io.TextIOWrapper(sys.stderr.buffer, encoding="utf-8"), flush=True)
    print("four")
    faulthandler.enable()
    """
    assert [line["event"] for line in lines_of(code)] == ["one ü", "two \\xff", "three", "four"]


def test_what_user_code_has_structlog_print_is_an_event_once() -> None:
    code = """
    capture_prints()
    structlog.configure(processors=[structlog.dev.ConsoleRenderer(colors=False)], logger_factory=structlog.PrintLoggerFactory())
    structlog.get_logger().info("one", number=2)
    print("three")
    """
    assert [line["event"].split() for line in lines_of(code)] == [["one", "number=2"], ["three"]]


def test_what_another_program_writes_joins_the_log_as_it_is() -> None:
    output, errors = run("""
    import subprocess
    capture_prints()
    subprocess.run(["echo", "one"], stdout=sys.stdout, check=True)
    """)
    assert (output, errors) == ("", "one\n")


def test_threads_that_print_at_once_keep_their_lines_apart() -> None:
    code = """
    capture_prints()
    both = threading.Barrier(2)

    def speak(word):
        for _ in range(50):
            both.wait()
            print(word, end="")
            both.wait()
            print(word)

    threads = [threading.Thread(target=speak, args=(word,)) for word in ("ab", "cd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    """
    events = [line["event"] for line in lines_of(code)]
    assert sorted(events) == ["abab"] * 50 + ["cdcd"] * 50


def test_the_level_decides_what_is_written() -> None:
    code = """
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)(level)
        getattr(logging.getLogger("library"), level)("library " + level)
    """
    events = {level: [line["event"] for line in lines_of(code, level=level)] for level in ("debug", "info", "error")}
    own = ["debug", "info", "warning", "error"]
    assert events["debug"] == [event for level in own for event in (level, f"library {level}")]
    assert events["info"] == ["info", "warning", "library warning", "error", "library error"]
    assert events["error"] == ["error", "library error"]


@pytest.mark.parametrize(("format", "is_json"), [("auto", True), ("json", True), ("console", False)])
def test_people_at_a_terminal_get_another_form(format: str, is_json: bool) -> None:
    output, errors = run('log.info("started", port=8080)\nlogging.getLogger("library").error("no")', format=format)
    assert output == ""
    first, second = errors.splitlines()
    assert first.startswith("{") is second.startswith("{") is is_json
    if not is_json:
        assert "[info     ] started" in first
        assert "port=8080" in first
        assert "\x1b[" not in errors, "colours are for terminals only"
