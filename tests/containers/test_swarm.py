"""The swarm of these tests: services are spread and found, and what happens to a node is noticed."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.containers.base_image import PYTHON
from tests.containers.docker import Docker
from tests.containers.swarm import Node, Swarm, node_went

pytestmark = pytest.mark.timeout(240)

NOTICED_WITHIN = 30.0
FIND = "import socket; print(*sorted({found[4][0] for found in socket.getaddrinfo('tasks.web', 8000)}))"
ASK = "import urllib.request; print(urllib.request.urlopen('http://web:8000/etc/hostname').status)"


# One container on each node, found by DNS alone, as the generated stacks have it.
STACK = f"""
services:
  web:
    image: {PYTHON}
    command: [python, -m, http.server, "8000"]
    stop_signal: SIGKILL
    ports: [{{target: 8000, published: 8000, mode: host}}]
    deploy: {{mode: global, endpoint_mode: dnsrr, update_config: {{monitor: 1s}}}}
"""


def container(node: Node) -> str:
    """The node's container of the service."""
    return node.docker("ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=sample_web")


def test_a_service_is_spread_and_its_containers_are_found(swarm: Swarm, tmp_path: Path) -> None:
    swarm.load(PYTHON)
    file = tmp_path / "stack.yaml"
    file.write_text(STACK)
    swarm.deploy("sample", file)
    assert set(swarm.states(swarm[1]).values()) == {"Ready"}
    for node in swarm.nodes.values():
        assert len(node.docker.exec(container(node), "python", "-c", FIND).split()) == 3
        assert node.docker.exec(container(node), "python", "-c", ASK) == "200"
        with urllib.request.urlopen(f"http://{node.address}:8000/etc/hostname") as answer:
            assert answer.read().decode().strip() == container(node)


def test_a_killed_node_is_noticed_and_comes_back(swarm: Swarm) -> None:
    with swarm.watched(swarm[1]) as events:
        swarm[3].kill()
        events.wait(node_went("down", swarm[3]), within=NOTICED_WITHIN)
        assert swarm.states(swarm[1])["node3"] == "Down"
        swarm[3].start()
        events.wait(node_went("ready", swarm[3]), within=NOTICED_WITHIN)


def test_a_node_cut_off_is_noticed_and_healed(swarm: Swarm) -> None:
    with swarm.watched(swarm[1]) as events:
        swarm[2].cut()
        assert swarm[2].is_on
        events.wait(node_went("down", swarm[2]), within=NOTICED_WITHIN)
        swarm[2].heal()
        events.wait(node_went("ready", swarm[2]), within=NOTICED_WITHIN)


def test_nothing_stays_of_a_swarm(swarm: Swarm, docker: Docker) -> None:
    def there() -> list[str]:
        kinds = (("ps", "--all", "--no-trunc"), ("network", "ls", "--no-trunc"), ("volume", "ls"))
        return [docker(*kind, "--quiet") for kind in kinds]

    before = there()
    passing = Swarm(docker, nodes=1, name="kapelle-passing", subnet="10.213.78")
    passing.up()
    assert there() != before
    passing.down()
    assert there() == before
