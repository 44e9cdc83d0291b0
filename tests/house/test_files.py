"""Files stay short and are named for what they hold, and belong to no machine in particular."""

from __future__ import annotations

import re

import pytest

from tests.house.sources import ROOT, Source, files, report, sources

LONGEST = 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base_utils"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# A folder of one machine: somebody's home, or a temporary folder (tempfile and tmp_path make those).
MACHINE = re.compile(r"(?<![\w.~}-])/(home|root|work|Users|tmp)/")

TEXTS = ("*.py", "*.md", "*.sh", "*.toml", "*.yml", "*.yaml", "*.txt", "run", "serve")
CODE = ("src", "apps", "tests", "scripts", "benchmarks")


def test_files_are_short() -> None:
    lengths = [(source.where, len(source.lines)) for source in sources("src", "apps")]
    long = [f"{where}: {length} lines" for where, length in lengths if length > LONGEST]
    report(long, mend=f"find the second idea in the file and give it a file of its own; {LONGEST} lines is the most")


def test_names_say_what_a_file_holds() -> None:
    found = [str(path.relative_to(ROOT)) for path in files("*.py", *CODE) if path.stem.strip("_") in VAGUE]
    report(found, mend="name the file for the one idea in it, or move each function to where it is used")


def test_nothing_is_left_for_later() -> None:
    found = [place for source in sources(*CODE) for place in unfinished(source)]
    report(found, mend="do it now, or write down what is missing where users look: docs or the issue tracker")


def test_no_path_of_one_machine() -> None:
    texts = [path for pattern in TEXTS for path in files(pattern, *CODE, "docs", ".ci", ".github")]
    texts += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".md", ".toml", ".yaml", ""}]
    found = [place for path in texts for place in machine_paths(Source(str(path.relative_to(ROOT)), path.read_text()))]
    report(found, mend="use a path relative to the repository, tempfile, or tmp_path")


def unfinished(source: Source) -> list[str]:
    return [source.at(line) for line, comment in source.comments.items() if UNFINISHED.search(comment)]


def machine_paths(source: Source) -> list[str]:
    return [source.at(number) for number, line in enumerate(source.lines, 1) if MACHINE.search(line)]


@pytest.mark.parametrize("word", ["TODO", "FIXME"])
def test_finds_what_is_left_for_later(word: str) -> None:
    assert unfinished(Source("sample.py", f"x = 1\ny = 2  # {word}: later")) == ["sample.py:2"]


@pytest.mark.parametrize(
    ("line", "found"),
    [("{}/me/data", True), ('path = "{}/x"', True), ("$ROOT{}/x", False), ("apps{}/x", False), ("~{}/x", False)],
)
def test_finds_paths_of_one_machine(line: str, found: bool) -> None:
    for folder in ("home", "tmp"):
        assert bool(machine_paths(Source("sample.py", line.format(f"/{folder}")))) is found
