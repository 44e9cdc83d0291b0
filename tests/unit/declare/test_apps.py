"""An app is a class with endpoints and handles; what cannot be served or filled is refused when it is declared."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kapelle.declare.apps import Sharded, app, app_spec, get, post
from kapelle.declare.lifecycle import HookSpec, on_startup
from kapelle.declare.methods import method
from kapelle.declare.services import service, service_spec
from kapelle.errors import DeclarationError


@service
class Encoder:
    @method
    def embed(self, text: str) -> int:
        return len(text)


@service(sharded_by="index")
class Cluster:
    def __init__(self, shard: Path) -> None:
        self.shard = shard

    @method
    def where(self) -> str:
        return self.shard.name


def outside(scope: Any, receive: Any, send: Any) -> None:
    """Stands for an ASGI application."""


@app(artifact="index", mounts={"/static": outside})
class Search:
    encoder: Encoder
    cluster: Sharded[Cluster]
    limit: int = 10

    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact

    @on_startup
    async def warm_up(self) -> None: ...

    @post("/process", timeout="2s")
    async def process(self, instances: list[str]) -> list[int]:
        """Answer questions.

        All of them.
        """
        return [await self.encoder.embed(text) for text in instances]

    @get("/items/{name}/parts/{part}")
    async def item(self, name: str, part: int, depth: int = 1) -> str:
        return name

    @post("/stream")
    async def stream(self, text: str) -> AsyncIterator[str]:
        yield text


def spec_of(cls: Any) -> Any:
    spec = app_spec(cls)
    assert spec is not None
    return spec


async def test_the_class_stays_an_ordinary_class_and_can_be_tested_as_one() -> None:
    search = Search(Path("here"))
    search.encoder = Encoder()
    search.cluster = Sharded([Cluster(Path("a/0")), Cluster(Path("a/1"))])
    assert await search.process(["a", "bcd"]) == [1, 3]
    assert await search.cluster.shard(1).where() == "1"
    assert len(search.cluster) == 2
    assert [await shard.where() for shard in search.cluster] == ["0", "1"]
    with pytest.raises(IndexError):
        search.cluster.shard(2)


@pytest.mark.parametrize("index", [2, -1])
def test_a_shard_that_is_none_is_told_as_such(index: int) -> None:
    with pytest.raises(IndexError, match=f"there is no shard {index}; there are 2, counted from 0"):
        Sharded([Cluster(Path("a/0")), Cluster(Path("a/1"))]).shard(index)


def test_an_app_as_data() -> None:
    spec = spec_of(Search)
    assert (spec.name, spec.cls, spec.artifact, spec.injected) == ("Search", Search, "index", ("artifact",))
    assert spec.mounts == {"/static": outside}
    assert spec.hooks == (HookSpec("warm_up", "startup", background=False),)
    assert [(handle.attribute, handle.service.name) for handle in spec.handles] == [
        ("encoder", "Encoder"),
        ("cluster", "Cluster"),
    ]
    assert spec.services == {"Encoder": service_spec(Encoder), "Cluster": service_spec(Cluster)}


def test_endpoints_come_in_the_order_of_the_source() -> None:
    process, item, stream = spec_of(Search).endpoints
    assert (process.method, process.path, process.name, process.timeout) == ("POST", "/process", "process", 2.0)
    assert process.description == "Answer questions.\n\nAll of them."
    assert (item.method, item.path_parameters, item.timeout) == ("GET", ("name", "part"), None)
    assert [endpoint.streams for endpoint in (process, item, stream)] == [False, False, True]
    assert process.function is vars(Search)["process"]
    assert item.signature.names == ("name", "part", "depth")


def test_an_app_may_only_mount() -> None:
    @app(mounts={"/": outside})
    class Mounted: ...

    assert spec_of(Mounted).endpoints == ()


def test_endpoints_are_inherited_but_the_declaration_is_not() -> None:
    class Wider(Search):
        @get("/more")
        async def more(self) -> int:
            return 1

    assert app_spec(Wider) is None
    assert len(spec_of(app(artifact="index")(Wider)).endpoints) == 4


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a/{b}/c.json", "/v1/~me/a-b_c", "/{name}"])
def test_paths(path: str) -> None:
    async def serve(self: object, b: str = "", name: str = "") -> str:
        return b + name

    assert spec_of(declare(serve=get(path)(serve))()).endpoints[0].path == path


@pytest.mark.parametrize(
    "path", ["", "a", "//", "/a//b", "/a b", "/{}", "/{1a}", "/{a", "/a{b}", "/ä", "/a?b=c", "/a#b"]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(
        DeclarationError, match=r"is not a path; expected something like '/process' or '/items/\{name\}'"
    ):
        post(path)


def declare(**members: Any) -> Callable[[], object]:
    """The declaration of an app with these members."""
    return lambda: app(type("Broken", (), members))


def annotated(**annotations: Any) -> Callable[[], object]:
    return declare(__annotations__=annotations, process=vars(Search)["process"])


class Endpoints:
    @get("/a")
    def not_async(self) -> int: ...  # type: ignore[empty-body]  # never run

    @get("/a")
    async def first(self) -> int: ...  # type: ignore[empty-body]  # never run

    @get("/items/{name}")
    async def one(self, name: str) -> int: ...  # type: ignore[empty-body]  # never run

    @get("/items/{other}")
    async def two(self, other: str) -> int: ...  # type: ignore[empty-body]  # never run

    @get("/items/{nmae}")
    async def misspelt(self, name: str) -> int: ...  # type: ignore[empty-body]  # never run

    @get("/{name}/{name}")
    async def twice(self, name: str) -> int: ...  # type: ignore[empty-body]  # never run

    @post("/a")
    async def by_position(self, name: str, /) -> int: ...  # type: ignore[empty-body]  # never run

    @post("/a")
    async def by_name(self, *, name: str = "a", count: int) -> int: ...  # type: ignore[empty-body]  # never run

    @post("/a")
    async def strange(self, name: complex) -> int: ...  # type: ignore[empty-body]  # never run


def other_encoder() -> type:
    """A second service of the same name."""
    return service(type("Encoder", (Encoder,), {}))


class Undecorated:
    @method
    def embed(self, text: str) -> int:
        return len(text)


class TakesArtifact:
    def __init__(self, artifact: Path) -> None: ...

    process = vars(Search)["process"]


class TakesMore(TakesArtifact):
    def __init__(self, device: str) -> None: ...


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (declare(), "app Broken has no endpoint; mark at least one with @get or @post"),
        (declare(run=Endpoints.not_async), "endpoint Endpoints.not_async must be `async def`: it awaits its services"),
        (declare(one=Endpoints.one, two=Endpoints.two), r"Broken.two and .one both serve GET /items/\{other\}"),
        (declare(run=Endpoints.misspelt), r"Endpoints.misspelt: the path names \['nmae'\], the parameters do not"),
        (declare(run=Endpoints.twice), r"Endpoints.twice: '/\{name\}/\{name\}' names a parameter twice"),
        (declare(run=Endpoints.by_position), "parameter 'name' is positional-only; arguments of an endpoint are given"),
        (declare(run=Endpoints.strange), "parameter 'name': values of type <class 'complex'> cannot travel"),
        (annotated(encoder=Sharded[Encoder]), r"Broken.encoder is annotated .*Sharded\[.*Encoder\]; expected Encoder"),
        (annotated(cluster=Cluster), r"Broken.cluster is annotated .*Cluster.*; expected Sharded\[Cluster\]"),
        (annotated(cluster=Sharded), r"Broken.cluster is annotated .*; expected Sharded\[...\] of a service"),
        (annotated(cluster=Sharded[int]), r"expected Sharded\[...\] of a service"),
        (annotated(a=Encoder, b=other_encoder()), "Broken.b is a second service named Encoder; services are told"),
        (annotated(process=Encoder), "Broken.process is a handle, and a method as well; give one of them another name"),
        (annotated(encoder=Undecorated), "Broken.encoder: Undecorated has methods of a service and is none; decorate it"),
        (annotated(encoder=type("Derived", (Encoder,), {})), "Broken.encoder: Derived has methods of a service and is"),
        (annotated(encoder="NoSuchService"), "Broken: name 'NoSuchService' is not defined; handles are found by their"),
        (lambda: app(TakesArtifact), r"TakesArtifact.__init__ takes 'artifact'; declare it with @app\(artifact=...\)"),
        (lambda: app(TakesMore), "TakesMore.__init__ needs 'device'; the library passes only artifact and shard"),
        (lambda: app(mounts={"static": outside}), "mounts has 'static'; expected a path such as '/static'"),
        (lambda: app(mounts={"/{a}": outside}), r"mounts has '/\{a\}'; expected a path"),
    ],
)  # fmt: skip
def test_apps_that_cannot_be_served(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declare()


def test_a_timeout_must_be_a_duration() -> None:
    with pytest.raises(DeclarationError, match="timeout='soon': 'soon' is not a duration"):
        get("/a", timeout="soon")


def test_an_endpoint_may_take_arguments_by_name_only() -> None:
    assert spec_of(declare(run=Endpoints.by_name)()).endpoints[0].signature.names == ("name", "count")


def test_the_same_path_may_have_two_methods_and_one_service_two_handles() -> None:
    assert len(spec_of(declare(one=Endpoints.first, two=Endpoints.by_name)()).endpoints) == 2
    spec = spec_of(annotated(a=Encoder, b=Encoder)())
    assert [handle.attribute for handle in spec.handles] == ["a", "b"]
    assert len(spec.services) == 1


@pytest.mark.parametrize("thing", [Encoder, object(), None])
def test_anything_else_is_no_app(thing: object) -> None:
    assert app_spec(thing) is None
