from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.deploy.topology import Role, environment, folders, topology
from kapelle.errors import DeployError
from tests.unit.deploy.systems import demanding, images_of, system_of


@kapelle.service
class Gateway:
    """A service whose containers would be taken for gateways."""

    @kapelle.method
    def run(self, number: int) -> int:
        return number


@kapelle.service(inline=True)
class Quick:
    """A service without containers."""

    @kapelle.method
    def run(self, number: int) -> int:
        return number


@kapelle.app
class Confused:
    """An app with a name twice."""

    gateway: Gateway

    @kapelle.get("/")
    async def nothing(self) -> int:
        return 0


@kapelle.app
class Alone:
    """An app without replicas."""

    quick: Quick

    @kapelle.get("/")
    async def nothing(self) -> int:
        return 0


def with_service_called(app: type, name: str) -> AppSpec:
    """An app of one service, whose class is called otherwise."""
    spec = app_spec(app)
    assert spec is not None
    handles = tuple(replace(one, service=replace(one.service, name=name)) for one in spec.handles)
    return replace(spec, handles=handles)


def test_a_system_has_its_services_and_ours() -> None:
    system = system_of("question_search")
    assert system.name == "question-search"
    assert [(part.name, part.count, part.copies) for part in system.parts] == [
        ("door", 1, False), ("release", 1, False), ("controller", 1, False), ("encoder", 2, False), ("cluster", 2, True),
        ("gateway", 1, False), ("tests", 1, False),
    ]  # fmt: skip
    assert system.parts[3].command == ("kapelle", "start", "replica", "apps/question_search", "Encoder")
    assert system.grace == 45


def test_containers_get_what_the_declaration_says() -> None:
    [part] = demanding().of(Role.REPLICA)
    assert (part.name, part.count, part.cpus, part.gpus) == ("big-model", 3, 1.5, 1)
    assert part.memory == 1.25 * 2**30
    assert part.placement == {"disk": "ssd"}


def test_inline_services_have_no_containers() -> None:
    spec = app_spec(Alone)
    assert spec is not None
    assert not topology(spec, images_of(spec, "app.py", system_of("question_search").images.context), Settings()).of(
        Role.REPLICA
    )


def test_numbers_can_be_others() -> None:
    system = system_of("question_search", scale={"Encoder": 5, "gateway": 3})
    assert {part.name: part.count for part in system.of(Role.REPLICA, Role.GATEWAY)} == {
        "encoder": 5,
        "cluster": 2,
        "gateway": 3,
    }


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ({"Decoder": 2}, "no such part; expected one of encoder, cluster, gateway"),
        ({"Encoder": 0}, "at least 1"),
        ({"door": 2}, "no such part"),
    ],
)
def test_numbers_of_nothing_are_refused(scale: dict[str, int], told: str) -> None:
    with pytest.raises(DeployError, match=told):
        system_of("question_search", scale=scale)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Gateway", "would be called gateway"),
        ("Prometheus", "would be called prometheus"),
        ("搜索", "called '', after the class 搜索"),
        ("_2Fast", "called '2-fast', after the class _2Fast"),
        ("Long" * 16, "63 of a-z"),
    ],
)
def test_a_name_that_is_taken_or_that_no_engine_takes_is_refused(name: str, told: str) -> None:
    spec = with_service_called(Confused, name)
    with pytest.raises(DeployError, match=f"{told}.*; rename"):
        topology(spec, images_of(spec, "app.py", system_of("question_search").images.context), Settings())


def test_names_of_inline_services_are_no_matter() -> None:
    spec = with_service_called(Alone, "搜索")
    assert topology(spec, images_of(spec, "app.py", system_of("question_search").images.context), Settings()).parts


def test_each_container_is_told_what_it_needs() -> None:
    system = system_of("question_search")
    door, release, controller, *_, gateway, _ = system.parts
    assert "KAPELLE_SECRET_FILE" not in environment(system, door, peers="", node="") | environment(
        system, release, peers="", node=""
    )
    assert "KAPELLE_GRPC_PORT" not in environment(system, door, peers="", node="")
    told = environment(system, controller, peers="tasks.{service}", node="here")
    assert (told["KAPELLE_PEERS"], told["KAPELLE_NODE"], told["KAPELLE_DATA_PORT"]) == ("tasks.{service}", "here", 7100)
    assert environment(system, gateway, peers="", node="")["KAPELLE_HOST"] == "0.0.0.0"


def test_a_store_in_s3_needs_no_volume() -> None:
    system = system_of("question_search")
    [gateway] = system.of(Role.GATEWAY)
    assert [name for name, _ in folders(system, gateway)] == ["store", "cache", "door"]
    far = replace(system, store="s3://a/b")
    assert [name for name, _ in folders(far, gateway)] == ["cache", "door"]
    assert environment(far, gateway, peers="", node="")["KAPELLE_STORE"] == "s3://a/b"


def test_grpc_is_at_one_port_in_containers_whatever_the_settings_in_their_image_say() -> None:
    system = system_of("question_search", grpc_port=9500)
    for part in system.of(Role.DOOR, Role.GATEWAY):
        assert environment(system, part, peers="", node="")["KAPELLE_GRPC_PORT"] == 8081


@pytest.mark.parametrize("settings", [{"port": 65535}, {"port": 9000, "grpc_port": 9000}])
def test_a_port_that_grpc_cannot_have_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(DeployError, match=f"port {settings['port']} of HTTP; choose another .*, where -1 serves none"):
        system_of("question_search", **settings)
    assert system_of("question_search", **{**settings, "grpc_port": -1}).grpc_port == 0
