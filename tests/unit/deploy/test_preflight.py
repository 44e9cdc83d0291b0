from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kapelle.deploy import preflight
from kapelle.errors import DeployError
from tests.unit.deploy.engine import Answering, Failing


@pytest.mark.parametrize(
    ("version", "told"), [("20.10.24", "is 20.10.24, expected 25.0 or later"), ("", "of no known version")]
)
def test_an_engine_that_is_too_old_is_refused(version: str, told: str) -> None:
    with pytest.raises(DeployError, match=told):
        preflight.check_engine(Answering({"version": version}))
    preflight.check_engine(Answering({"version": "28.2.2\n"}))


def test_images_are_built_by_older_engines_too() -> None:
    preflight.check_engine(Answering({"version": "20.10.24"}), preflight.BUILDER)
    with pytest.raises(DeployError, match=r"is 19\.03\.15, expected 20\.10 or later; update it"):
        preflight.check_engine(Answering({"version": "19.03.15"}), preflight.BUILDER)


def test_compose_has_to_be_there_and_young_enough() -> None:
    with pytest.raises(DeployError, match=r"docker has no compose; install its plugin"):
        preflight.check_compose(Failing("unknown command: docker compose"))
    with pytest.raises(DeployError, match=r"Docker Compose is 2\.5\.0, expected 2\.20 or later"):
        preflight.check_compose(Answering({"compose version --short": "2.5.0"}))
    preflight.check_compose(Answering({"compose version --short": "v2.26.1-4"}))


@pytest.mark.parametrize(
    ("state", "told"),
    [("inactive false", "docker swarm init"), ("active false", "is a worker"), ("pending false", "in no swarm")],
)
def test_a_swarm_needs_a_manager(state: str, told: str) -> None:
    with pytest.raises(DeployError, match=told):
        preflight.check_swarm(Answering({"info": state}))
    preflight.check_swarm(Answering({"info": "active true\n"}))


def test_a_cluster_has_to_answer() -> None:
    with pytest.raises(DeployError, match=r"no cluster answers; name one with KUBECONFIG"):
        preflight.check_cluster(Failing("connection refused"))
    with pytest.raises(DeployError, match=r"^there is no kubectl"):
        preflight.check_cluster(Failing("there is no kubectl on this machine; install it"))
    preflight.check_cluster(Answering({}))


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeployError, match=rf"port {port} is in use on this machine; .*--port"):
            preflight.check_port(port)
    preflight.check_port(port)


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    preflight.check_room(tmp_path / "below", -preflight.MARGIN, "it")
    with pytest.raises(DeployError, match=r"GiB free, and the images.* need \d+\.\d GiB; free some"):
        preflight.check_docker_room(Answering({"info": str(tmp_path)}), 1 << 60)
    preflight.check_docker_room(Answering({"info": str(tmp_path / "elsewhere")}), 1 << 60)
