from __future__ import annotations

from pathlib import Path

import pytest

import kapelle
from kapelle.bench.fused import fuse, inlined, obstacle
from kapelle.declare.apps import app_spec
from kapelle.errors import DeclarationError
from kapelle.testing import running


@kapelle.service(replicas=2)
class Upper:
    @kapelle.batched(max_size=4)
    def upper(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]


@kapelle.service(sharded_by="words")
class Words:
    @kapelle.method
    def count(self) -> int:
        return 0


@kapelle.app
class Plain:
    upper: Upper

    @kapelle.post("/upper")
    async def post(self, text: str) -> str:
        return await self.upper.upper(text)


@kapelle.app
class WithShards:
    words: kapelle.Sharded[Words]

    @kapelle.get("/")
    async def count(self) -> int:
        return len(self.words)


async def test_a_fused_app_answers_the_same_without_replicas(tmp_path: Path) -> None:
    async with running(fuse(f"{__file__}:Plain", "somewhere"), artifacts=tmp_path) as system:
        answer = await system.client.post("/upper", json={"text": "hello"})
        assert system.replicas == []
    assert answer.text == "HELLO"


def test_a_fused_app_belongs_to_the_module_that_declares_it_and_leaves_the_other_as_it_is() -> None:
    fused = fuse(f"{__file__}:Plain", "somewhere")
    spec = app_spec(Plain)
    assert fused.__module__ == "somewhere"
    assert spec is not None
    assert not spec.services["Upper"].inline


def test_shards_cannot_be_fused() -> None:
    spec = app_spec(WithShards)
    assert spec is not None
    assert obstacle(spec) == "Words has shards, which live in processes of their own"
    with pytest.raises(DeclarationError, match="Words has shards"):
        inlined(spec)
