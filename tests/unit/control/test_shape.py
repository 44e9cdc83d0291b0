"""What a release looks like to the rollout machine, and which ones do not fit the app."""

from __future__ import annotations

from pathlib import Path

import pytest

import kapelle
from kapelle.artifacts.manifest import Artifact, File, Manifest, Origin
from kapelle.control.shape import shape
from kapelle.core.rollout_messages import Shape
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError


@kapelle.service(artifact="model")
class Encoder:
    def __init__(self, artifact: Path) -> None: ...

    @kapelle.method
    def encode(self) -> int:
        return 0


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    def __init__(self, shard: Path) -> None: ...

    @kapelle.method
    def find(self) -> int:
        return 0


@kapelle.service(inline=True)
class Words:
    @kapelle.method
    def split(self) -> int:
        return 0


@kapelle.app(artifact="index")
class Search:
    encoder: Encoder
    cluster: kapelle.Sharded[Cluster]
    words: Words

    def __init__(self, artifact: Path) -> None: ...

    @kapelle.get("/")
    async def search(self) -> int:
        return 0


def manifest(**artifacts: list[list[int]]) -> Manifest:
    """Of artifacts whose shards have files of these sizes, and a common file."""
    common = [File("common", 5, "0" * 64)]
    return Manifest(
        app="search",
        artifacts={
            name: Artifact(common, [[File(str(at), size, "0" * 64) for at, size in enumerate(one)] for one in shards])
            for name, shards in artifacts.items()
        },
        made=Origin("1", 0.0, "somewhere"),
    )


def test_it_has_the_bytes_of_each_shard_of_each_service_with_processes() -> None:
    spec = app_spec(Search)
    assert spec is not None
    found = shape("r7", manifest(model=[], index=[[1, 2], [], [4]], more=[]), spec, "5f1c")
    assert found == Shape("r7", {"Encoder": (), "Cluster": (3, 0, 4)}, {"Cluster": 2}, code="5f1c")


def test_what_the_app_needs_and_is_not_there_is_named() -> None:
    spec = app_spec(Search)
    assert spec is not None
    with pytest.raises(ArtifactError, match="r7 has no artifact model, which Search needs; it has index"):
        shape("r7", manifest(index=[[1]]), spec, "")
    with pytest.raises(ArtifactError, match="r7 has no shards of artifact 'index', which Cluster is sharded by"):
        shape("r7", manifest(model=[], index=[]), spec, "")
