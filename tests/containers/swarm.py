"""Several engines as a real swarm on one machine: each node is an engine in a container of its own.

A node has its own network, processes, mounts and disk. It can lose its power, and its cable can be cut.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from tests.containers.base_image import ENGINE
from tests.containers.docker import SLOW, Docker, DockerFailed
from tests.containers.events import Event, Events
from tests.containers.notices import Notices

NAME = "kapelle-swarm"
SUBNET = "10.213.77"
READY_WITHIN = 60.0
HEARTBEAT = "1s"
"""How often a node tells the managers that it lives; after three times that it is taken for dead."""

SHARED = "/srv/shared"
"""A folder that all nodes see at this path, as one on a file server; no cable that is cut leads to it."""

CABLE = ("PREROUTING --in-interface eth0", "POSTROUTING --out-interface eth0")
"""Where all that a node sends and receives passes, its containers' traffic included."""


@dataclass(frozen=True)
class Node:
    """One engine of a swarm. ``number`` counts from 1; ``docker`` asks this engine, ``outer`` the one that it runs in."""

    number: int
    network: str
    address: str
    outer: Docker
    docker: Docker
    folder: Path

    @property
    def name(self) -> str:
        """The host's name."""
        return f"node{self.number}"

    @property
    def container(self) -> str:
        """The container that is this machine."""
        return f"{self.network}-{self.number}"

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return self.outer("inspect", "--format", "{{.State.Running}}", self.container) == "true"

    def create(self) -> None:
        """Make the machine, and turn it on."""
        self.folder.mkdir()
        options = ["--name", self.container, "--hostname", self.name, "--network", self.network, "--ip", self.address]
        options += ["--volume", f"{self.folder}:/node", "--volume", "/var/lib/docker", "--tmpfs", "/run"]
        options += ["--volume", f"{self.folder.parent / 'shared'}:{SHARED}"]
        options += ["--env", "DOCKER_TLS_CERTDIR=", "--env", "NOTIFY_SOCKET=/node/notify", "--privileged"]
        engine = ["dockerd", "--host", "unix:///node/docker.sock", "--group", str(os.getgid()), "--log-level", "error"]
        with self._coming_up():
            self.outer("run", "--detach", *options, ENGINE, *engine, "--pidfile", "/run/docker.pid")

    def start(self) -> None:
        """Turn it on again; its disk is as it was."""
        with self._coming_up():
            self.outer("start", self.container)

    def kill(self) -> None:
        """Pull the plug: nobody hears a word from it, not even that its connections are closed."""
        self.cut()
        self.outer("kill", self.container)

    def cut(self) -> None:
        """Cut its cable: it runs on, and everything that it sends or is sent is lost."""
        self._filter("--insert")

    def heal(self) -> None:
        """Mend its cable."""
        self._filter("--delete")

    def _filter(self, action: str) -> None:
        rules = " && ".join(f"iptables --table mangle {action} {place} --jump DROP" for place in CABLE)
        self.outer.exec(self.container, "sh", "-c", rules)

    @property
    def is_cut(self) -> bool:
        """Whether its cable is cut."""
        return "DROP" in self.outer.exec(self.container, "iptables", "--table", "mangle", "--list-rules")

    def mend(self) -> None:
        """See that it has power and a cable."""
        if not self.is_on:
            self.start()
        elif self.is_cut:
            self.heal()

    @contextmanager
    def _coming_up(self) -> Iterator[None]:
        with Notices(self.folder / "notify") as notices:
            yield
            if trouble := notices.wait(within=READY_WITHIN):
                raise DockerFailed(f"{self.name}: {trouble}\n{self.outer.attempt('logs', self.container).last_lines}")


class Swarm:
    """Nodes of one swarm. The first is its only manager, which no test may take away.

    Several managers would elect another leader whenever the first is slow, and the loss of that one keeps them busy with
    themselves for some 20 s, in which they answer nobody. Containers run on meanwhile: it says nothing about them.
    """

    def __init__(self, outer: Docker, *, nodes: int = 3, name: str = NAME, subnet: str = SUBNET) -> None:
        self.name = name
        self._outer = outer
        self._subnet = subnet
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.shared = self._folder / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o777)  # containers write there, each as a user of its own
        self.nodes = {number: self._node(number) for number in range(1, nodes + 1)}

    def _node(self, number: int) -> Node:
        folder = self._folder / str(number)
        inner = Docker({**self._outer.environment, "DOCKER_HOST": f"unix://{folder}/docker.sock"})
        return Node(number, self.name, f"{self._subnet}.{10 + number}", self._outer, inner, folder)

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def up(self) -> None:
        """Make the nodes, and join them."""
        self._outer("network", "create", "--subnet", f"{self._subnet}.0/24", self.name)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.create, self.nodes.values()))
        first, *others = self.nodes.values()
        first.docker("swarm", "init", "--advertise-addr", first.address, "--dispatcher-heartbeat", HEARTBEAT)
        token = first.docker("swarm", "join-token", "--quiet", "worker")
        for node in others:
            node.docker("swarm", "join", "--advertise-addr", node.address, "--token", token, f"{first.address}:2377")

    def load(self, *tags: str) -> None:
        """Give every node these images of the outer engine; there is no registry to fetch them from."""
        missing = {
            tag: [node for node in self.nodes.values() if not node.docker.has_image(tag)] for tag in dict.fromkeys(tags)
        }
        wanted = [tag for tag, nodes in missing.items() if nodes]
        lacking = [node for node in self.nodes.values() if any(node in nodes for nodes in missing.values())]
        if not lacking:
            return
        archive = self._folder / "images.tar"
        self._outer("save", "--output", archive, *wanted, timeout=SLOW)
        command = ("load", "--quiet", "--input", archive)
        loading = [(node, node.docker.start(*command, stdout=PIPE, stderr=PIPE)) for node in lacking]
        for node, process in loading:
            _, errors = process.communicate(timeout=SLOW)
            if process.returncode:
                raise DockerFailed(
                    f"{node.name}: the images {', '.join(wanted)} could not be loaded\n{errors.decode()}"
                )
        archive.unlink()

    def states(self, seen_by: Node) -> dict[str, str]:
        """The nodes' states by their names, as one manager sees them."""
        return {each["Hostname"]: each["Status"] for each in seen_by.docker.records("node", "ls")}

    @contextmanager
    def watched(self, seen_by: Node) -> Iterator[Events]:
        """What a manager notices of nodes from now on."""
        with Events(seen_by.docker, "type=node") as events:
            yield events

    def deploy(self, stack: str, file: Path, *, on: int = 1, timeout: float = SLOW) -> None:
        """Deploy a stack file, and wait until its services have settled.

        A service that was rolled back has settled, too: ask for its ``UpdateStatus``.
        """
        options = ("--detach=false", "--resolve-image", "never", "--compose-file")
        self[on].docker("stack", "deploy", *options, file, stack, timeout=timeout)

    def mend(self) -> None:
        """Bring all nodes back, and remove what was deployed: the next test finds the swarm as new."""
        for node in self.nodes.values():
            node.mend()
        manager = self[1].docker
        for stack in manager.records("stack", "ls"):
            manager("stack", "rm", "--detach=false", stack["Name"], timeout=SLOW)

    def down(self) -> None:
        """Take everything away."""
        names = [node.container for node in self.nodes.values()]
        self._outer.attempt("rm", "--force", "--volumes", *names)
        self._outer.attempt("network", "rm", self.name)
        shutil.rmtree(self._folder)


def node_went(state: str, node: Node) -> Callable[[Event], bool]:
    """Whether an event says that a node is in this state now."""

    def matches(event: Event) -> bool:
        attributes = event["Actor"]["Attributes"]
        return (attributes.get("name"), attributes.get("state.new")) == (node.name, state)

    return matches
