"""By which digest a stage is known: by all that goes in, and by nothing else."""

from __future__ import annotations

from kapelle.deploy.context import Content
from kapelle.deploy.stages import Stage, Stages

STAGES = [
    Stage("tools", "FROM base AS tools\nCOPY tool ./", copies=("tool",)),
    Stage("code", "FROM tools AS code\nCOPY app/ ./", takes=("tools",), copies=("app/",)),
    Stage("door", "FROM tools AS door", takes=("tools",)),
]
FILES: dict[str, Content] = {"tool": b"1", "app/a": b"2", "appendix": b"3"}


def digests(files: dict[str, Content], head: str = "ARG BASE=x") -> dict[str, str]:
    stages = Stages(head, STAGES, files)
    return {stage.name: stages.digest(stage.name) for stage in STAGES}


def changed(files: dict[str, Content]) -> list[str]:
    before, after = digests(FILES), digests(FILES | files)
    return [name for name in before if before[name] != after[name]]


def test_only_what_is_made_of_a_file_changes_with_it() -> None:
    assert changed({"tool": b"x"}) == ["tools", "code", "door"]
    assert changed({"app/a": b"x"}) == ["code"]
    assert changed({"app/new": b""}) == ["code"]
    assert changed({"appendix": b"x"}) == []


def test_the_base_counts() -> None:
    assert not {*digests(FILES).values()} & {*digests(FILES, "ARG BASE=y").values()}


def test_the_file_has_all_stages() -> None:
    assert Stages("ARG BASE=x", STAGES[:2], FILES).text == (
        "ARG BASE=x\n\nFROM base AS tools\nCOPY tool ./\n\nFROM tools AS code\nCOPY app/ ./\n"
    )
