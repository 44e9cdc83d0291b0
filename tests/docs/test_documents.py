"""README.md and docs/: their code does what they say, the commands they name exist, their links lead somewhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import uvloop

from tests.docs.documents import Document, forget_modules
from tests.docs.shell import Shell
from tests.house.sources import ROOT, files

DOCUMENTS = [str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *files("*.md", "docs")]]

each_document = pytest.mark.parametrize("name", DOCUMENTS)


@each_document
@pytest.mark.timeout(180)
def test_code_does_what_the_document_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shell = Shell(tmp_path)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            Document(name, tmp_path, shell, runner).run((ROOT / name).read_text())
    finally:
        for left in shell.background:
            left.stop()
        forget_modules(tmp_path)


@each_document
def test_make_targets_exist(name: str) -> None:
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets


@each_document
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / name).read_text())
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not ((ROOT / name).parent / link).exists()] == []
