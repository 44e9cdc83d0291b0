"""A service is an ordinary class with a specification; what does not fit together is refused when it is declared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kapelle.declare.lifecycle import HookSpec, on_startup
from kapelle.declare.methods import batched, method
from kapelle.declare.services import injected_names, parse_bytes, resolved_annotations, service, service_spec
from kapelle.errors import DeclarationError


@service
class Plain:
    @method
    def ping(self) -> str:
        return "pong"


@service(replicas=3, artifact="encoder", max_queue=10, memory_limit="2GB", inline=False)
class Encoder:
    def __init__(self, artifact: Path, threads: int = 1) -> None:
        self.artifact = artifact

    @on_startup
    def warm_up(self) -> None: ...

    @batched()
    def embed(self, sentences: list[str]) -> list[int]:
        return [len(sentence) for sentence in sentences]

    @method
    def dimensions(self) -> int:
        return 384

    def not_served(self) -> None: ...


@service(sharded_by="index", copies=3)
class Cluster:
    def __init__(self, shard: Path) -> None: ...

    @method
    def nearest(self, count: int = 1) -> list[int]:
        return list(range(count))


def test_what_its_containers_get() -> None:
    @service(requirements="requirements-encoder.txt", cpus=1.5, gpus=1, placement={"disk": "ssd"})
    class Contained:
        @method
        def ping(self) -> str:
            return "pong"

    spec = spec_of(Contained)
    assert (spec.requirements, spec.cpus, spec.gpus) == ("requirements-encoder.txt", 1.5, 1)
    assert spec.placement == {"disk": "ssd"}
    assert (spec_of(Plain).requirements, spec_of(Plain).cpus, spec_of(Plain).gpus) == (None, None, 0)
    with pytest.raises(DeclarationError, match="cpus=0: expected a number of cores"):
        service(cpus=0)


async def test_the_class_stays_an_ordinary_class() -> None:
    encoder = Encoder(Path("somewhere"))
    assert encoder.artifact == Path("somewhere")
    assert await encoder.embed("abc") == 3
    assert await Plain().ping() == "pong"


def spec_of(cls: type) -> Any:
    spec = service_spec(cls)
    assert spec is not None
    return spec


def test_a_service_as_data() -> None:
    spec = spec_of(Encoder)
    assert (spec.name, spec.cls, spec.replicas, spec.artifact, spec.sharded) == (
        "Encoder",
        Encoder,
        3,
        "encoder",
        False,
    )
    assert (spec.max_queue, spec.memory_limit, spec.inline) == (10, 2_000_000_000, False)
    assert list(spec.methods) == ["dimensions", "embed"]
    assert spec.hooks == (HookSpec("warm_up", "startup", background=False),)
    assert spec.injected == ("artifact",)


def test_defaults() -> None:
    spec = spec_of(Plain)
    assert (spec.replicas, spec.artifact, spec.sharded, spec.inline) == (1, None, False, False)
    assert (spec.max_queue, spec.memory_limit, spec.injected, spec.hooks) == (1024, None, (), ())


def test_a_sharded_service_has_copies_of_each_shard() -> None:
    spec = spec_of(Cluster)
    assert (spec.replicas, spec.artifact, spec.sharded, spec.injected) == (3, "index", True, ("shard",))


def test_a_subclass_inherits_methods_but_is_declared_itself() -> None:
    class Better(Plain):
        @method
        def more(self) -> int:
            return 1

    assert service_spec(Better) is None
    assert list(spec_of(service(Better)).methods) == ["more", "ping"]
    assert list(spec_of(Plain).methods) == ["ping"]


@pytest.mark.parametrize("thing", [int, Plain(), None, "Encoder"])
def test_anything_else_is_no_service(thing: object) -> None:
    assert service_spec(thing) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicas": 0}, "replicas=0, copies=2: expected at least 1"),
        ({"sharded_by": "index", "copies": 0}, "replicas=1, copies=0: expected at least 1"),
        ({"max_queue": 0}, "max_queue=0: expected at least 1"),
        ({"artifact": "a", "sharded_by": "b"}, "a service takes either artifact= or sharded_by=, not both"),
        ({"inline": True, "in_turn": True}, "an inline service cannot change in_turn"),
        ({"in_turn": True}, "replicas=1 and in_turn=True: expected at least 2"),
        ({"in_turn": True, "sharded_by": "b", "copies": 1}, "copies=1 and in_turn=True: expected at least 2"),
        ({"inline": True, "sharded_by": "b"}, "an inline service cannot be sharded: it lives in the gateway"),
        ({"memory_limit": "much"}, "'much' is not a size; expected a number and a unit, as in '512MiB' or '2GB'"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        service(**options)(type("Service", (Plain,), {}))


class NoMethod:
    def run(self) -> None: ...


class TakesArtifact(Plain):
    def __init__(self, artifact: Path) -> None: ...


class TakesShard(Plain):
    def __init__(self, shard: Path) -> None: ...


class TakesMore(Plain):
    def __init__(self, artifact: Path, device: str) -> None: ...


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: service(NoMethod),
         "service NoMethod has no method; mark at least one with @method or @batched"),
        (lambda: service(TakesArtifact),
         r"TakesArtifact.__init__ takes 'artifact'; declare it with @service\(artifact=...\)"),
        (lambda: service(sharded_by="index")(TakesArtifact), r"declare it with @service\(artifact=...\)"),
        (lambda: service(TakesShard), r"TakesShard.__init__ takes 'shard'; declare it with @service\(sharded_by=...\)"),
        (lambda: service(artifact="a")(TakesShard), r"declare it with @service\(sharded_by=...\)"),
        (lambda: service(artifact="a")(TakesMore),
         "TakesMore.__init__ needs 'device'; the library passes only artifact and shard"),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_served(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declare()


@dataclass
class Generated:
    artifact: Path
    threads: int = 1


class Loose:
    def __init__(self, *args: Any, **options: Any) -> None: ...


@pytest.mark.parametrize(
    ("cls", "names"), [(object, ()), (Plain, ()), (Encoder, ("artifact",)), (Generated, ("artifact",)), (Loose, ())]
)
def test_what_a_constructor_is_given(cls: type, names: tuple[str, ...]) -> None:
    assert injected_names(cls) == names


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2GB", 2_000_000_000),
        ("512MiB", 512 << 20),
        ("1.5 KiB", 1536),
        ("10B", 10),
        (" 3 MB ", 3_000_000),
        ("1KB", 1000),
        ("1GiB", 1 << 30),
        (4096, 4096),
    ],
)
def test_sizes(written: str | int, size: int) -> None:
    assert parse_bytes(written) == size


@pytest.mark.parametrize("written", ["", "GB", "5", "-1GB", "1,5GB", "2gb", "²GB", "1TBB", "0B", 0, -5])
def test_what_is_no_size(written: str | int) -> None:
    with pytest.raises(DeclarationError, match="is not a size; expected a number and a unit, as in '512MiB' or '2GB'"):
        parse_bytes(written)


class Annotated:
    encoder: "Encoder"
    count: int


class MoreAnnotated(Annotated):
    cluster: Cluster


class Broken:
    encoder: "NoSuchService"  # type: ignore[name-defined]  # noqa: F821 - this is what is tested


def test_annotations_are_resolved_and_inherited() -> None:
    assert resolved_annotations(MoreAnnotated) == {"encoder": Encoder, "count": int, "cluster": Cluster}


def test_an_annotation_that_means_nothing_is_named() -> None:
    with pytest.raises(
        DeclarationError, match="Broken: name 'NoSuchService' is not defined; handles are found by their"
    ):
        resolved_annotations(Broken)
