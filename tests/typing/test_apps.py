"""What type checkers see in an app: handles are the services themselves, and decorators change no type."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, assert_type

import msgspec
import numpy as np

import kapelle

Array = np.ndarray[Any, Any]


class Match(msgspec.Struct):
    question: str
    score: float


@kapelle.service(replicas=2, artifact="encoder")
class Encoder:
    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact

    @kapelle.on_startup
    def warm_up(self) -> int:
        return 1

    @kapelle.batched(max_size=64, max_wait="2ms")
    def embed(self, sentences: list[str]) -> np.ndarray:
        return np.ones((len(sentences), 2))


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    def __init__(self, shard: Path) -> None:
        self.shard = shard

    @kapelle.method
    def nearest(self, vector: np.ndarray, count: int = 1) -> list[Match]:
        return [Match("Why?", float(vector.sum()))] * count


@kapelle.app(artifact="index")
class Search:
    encoder: Encoder
    cluster: kapelle.Sharded[Cluster]

    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact

    @kapelle.on_startup(background=True)
    async def refresh(self) -> None: ...

    @kapelle.on_shutdown
    async def close(self) -> str:
        return "closed"

    @kapelle.golden
    async def knows_itself(self) -> None:
        assert await self.item("a", limit=1) == "a"

    @kapelle.golden(timeout="5s")
    async def knows_itself_soon(self) -> None:
        kapelle.quality(1.0)

    @kapelle.post("/process", timeout="2s")
    async def process(self, instances: list[str], probes: int = 1) -> list[Match]:
        found = [assert_type(await self.encoder.embed(text), Array) for text in instances]
        return [match for vector in found for match in await self.cluster.shard(probes).nearest(vector)]

    @kapelle.get("/items/{name}")
    async def item(self, name: str, limit: kapelle.Query[int] = 10) -> str:
        assert_type(limit, int)
        return name * limit

    @kapelle.post("/constrained")
    async def constrained(
        self, body: bytes, limit: kapelle.Query[Annotated[int, msgspec.Meta(ge=1)] | None] = None
    ) -> bytes:
        assert_type(limit, int | None)
        return body

    @kapelle.post("/stream")
    async def stream(self, text: str) -> AsyncIterator[str]:
        yield text

    @kapelle.post("/files")
    async def files(self, image: kapelle.Upload) -> int:
        assert_type((image.filename, image.data), tuple[str, bytes])
        return len(image.data)


@kapelle.service
class Bare:
    @kapelle.method
    def ping(self) -> str:
        return "pong"


@kapelle.app
class BareApp:
    bare: Bare

    @kapelle.get("/")
    async def root(self) -> str:
        return await self.bare.ping()


def search() -> Search:
    made = Search(Path("index"))
    made.encoder = Encoder(Path("encoder"))
    made.cluster = kapelle.Sharded([Cluster(Path("index/0")), Cluster(Path("index/1"))])
    return made


def test_decorators_keep_the_type_of_a_class() -> None:
    assert_type(Encoder, type[Encoder])
    assert_type(Cluster, type[Cluster])
    assert_type(Search, type[Search])
    assert_type(Bare(), Bare)
    assert_type(BareApp(), BareApp)
    assert_type(Encoder(Path("encoder")).artifact, Path)


async def test_handles_are_the_services_themselves() -> None:
    made = search()
    assert_type(made.encoder, Encoder)
    assert_type(await made.encoder.embed("abc"), Array)
    assert_type(made.cluster, kapelle.Sharded[Cluster])
    assert_type(made.cluster.shard(0), Cluster)
    assert_type(await made.cluster.shard(0).nearest(np.ones(2), count=2), list[Match])
    assert_type(len(made.cluster), int)
    assert [assert_type(shard, Cluster).shard.name for shard in made.cluster] == ["0", "1"]


async def test_endpoints_stay_methods() -> None:
    made = search()
    assert_type(await made.process(["a", "b"], probes=0), list[Match])
    assert_type(await made.item("a"), str)
    assert_type(made.stream("a"), AsyncIterator[str])
    assert_type(await made.close(), str)
    await made.knows_itself()
    await made.knows_itself_soon()
    assert_type(made.encoder.warm_up(), int)
    assert await made.item("a", limit=3) == "aaa"
    assert await made.constrained(b"abc") == b"abc"


def test_a_request_is_known_or_none() -> None:
    request = kapelle.current_request()
    assert_type(request, kapelle.RequestContext | None)
    assert request is None


def test_errors_have_typed_fields() -> None:
    assert_type(kapelle.InvalidInput("bad", path="$.a").path, str)
    assert_type(kapelle.Overloaded(retry_after=2.0).retry_after, float)
    assert_type(kapelle.RowErrors({0: ValueError("bad")}).errors, dict[int, Exception])


async def mistakes(made: Search) -> None:
    """Never run: each line is refused."""
    made.encoder = Cluster(Path("index/0"))  # type: ignore[assignment]  # another service
    made.cluster.nearest(np.ones(2))  # type: ignore[attr-defined]  # of which shard?
    made.cluster.shard("first")  # type: ignore[arg-type]  # a number
    await made.cluster.shard(0).nearest("text")  # type: ignore[arg-type]  # not a vector
    await made.knows_itself("a")  # type: ignore[call-arg]  # takes nothing
    await made.process("text")  # type: ignore[arg-type]  # a list
    await made.item("a", limit="ten")  # type: ignore[arg-type]  # a number
    Encoder("encoder")  # type: ignore[arg-type]  # a path
    kapelle.Sharded([1]).shard(0).nearest(np.ones(2))  # type: ignore[attr-defined]  # no service


def mistakes_in_declarations() -> None:
    """Never run: each declaration is refused."""
    kapelle.service(replicsa=2)  # type: ignore[call-overload]  # misspelt
    kapelle.service(replicas="2")  # type: ignore[call-overload]  # a number
    kapelle.app(mounts=["/static"])  # type: ignore[call-overload]  # applications by path
    kapelle.get(3)  # type: ignore[arg-type]  # a path
    kapelle.on_startup(background="yes")  # type: ignore[call-overload]  # true or false
    kapelle.quality("high")  # type: ignore[arg-type]  # a number


def wrong_golden_queries() -> None:
    """Never run: each line is refused."""

    def plain(app: Search) -> None: ...

    async def curious(app: Search, question: str) -> None: ...

    async def answers(app: Search) -> bool:
        return True

    kapelle.golden(plain)  # type: ignore[type-var]  # not async
    kapelle.golden(curious)  # type: ignore[type-var]  # nobody passes a question
    kapelle.golden(answers)  # type: ignore[type-var]  # nobody reads the answer
    kapelle.golden(timeout="5s")(plain)  # type: ignore[type-var]  # not async
