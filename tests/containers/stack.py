"""A whole system on the swarm of these tests: deployed by the command that people type, and looked at from outside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from kapelle.control import status
from tests.containers.command import kapelle
from tests.containers.docker import SLOW, Docker, DockerFailed, Outcome
from tests.containers.swarm import SHARED, Node, Swarm

PORT = 8080
_SERVICE = "com.docker.swarm.service.name"
_METRICS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:7102/metrics').read().decode())"


class Stack:
    """The app in ``app`` as a stack of its own name. ``folder`` is where people would work on it, ``outer`` builds images."""

    def __init__(self, swarm: Swarm, outer: Docker, folder: Path, app: Path) -> None:
        self.swarm = swarm
        self.name = app.name
        self.app = folder / app.name
        self._outer = outer
        self._folder = folder
        shutil.copytree(app, self.app, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "kapelle.toml").write_text('bake = "5s"\n')
        self._store = f"{SHARED}/{self.name}"
        (swarm.shared / self.name).mkdir()
        (swarm.shared / self.name).chmod(0o777)

    # --- commands -----------------------------------------------------------------------------------------------------

    def attempt(self, *words: str, on: Docker | None = None) -> Outcome:
        """What became of a ``kapelle`` command; without ``on`` it reaches the first node's engine."""
        return kapelle(*words, folder=self._folder, environment=(on or self.swarm[1].docker).environment)

    def kapelle(self, *words: str, on: Docker | None = None) -> str:
        """What a ``kapelle`` command prints.

        Raises:
            DockerFailed: its exit status is not 0.
        """
        outcome = self.attempt(*words, on=on)
        if outcome.status:
            raise DockerFailed(f"kapelle {' '.join(words)}: exit status {outcome.status}\n{outcome.last_lines}")
        return outcome.output

    def supply(self) -> None:
        """Build the images that the app needs as it is now, and bring them to every node: there is no registry."""
        self.kapelle("build", self.name, on=self._outer)
        self._deploy()
        self.swarm.load(*self.images.values())

    def up(self) -> Outcome:
        """Start or update it."""
        return self.attempt(*self._words, "--up")

    def doors(self, nodes: Iterable[Node] = ()) -> dict[str, str]:
        """Where clients of these nodes ask, or of all, by the node's name."""
        return {node.name: f"http://{node.address}:{PORT}" for node in nodes or self.nodes}

    def _deploy(self) -> None:
        self.kapelle(*self._words)

    @property
    def _words(self) -> tuple[str, ...]:
        return ("deploy", "swarm", self.name, "--store", self._store)

    def scale(self, **parts: int) -> None:
        """Have another number of containers, as people do by hand; they come and go after this has returned."""
        words = (f"{self.name}_{part}={count}" for part, count in parts.items())
        self.swarm[1].docker("service", "scale", "--detach", *words)

    def down(self) -> str:
        """Take it away, with all that it has stored; what the command says."""
        return self.kapelle("down", "swarm", self.name, "--volumes")

    def edit(self, old: str, new: str) -> None:
        """Change the app's code."""
        file = self.app / "app.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def images(self) -> dict[str, str]:
        """The image of each part, as the files say."""
        versions = yaml.safe_load((self._folder / "deploy/swarm/versions.yaml").read_text())
        return {name: service["image"] for name, service in versions["services"].items()}

    @property
    def nodes(self) -> list[Node]:
        """Those that have power and a cable; what runs on others is not seen by anybody."""
        return [node for node in self.swarm.nodes.values() if node.is_on and not node.is_cut]

    def containers(self, node: Node, part: str = "") -> list[str]:
        """The running containers of a part, or of all, on a node."""
        label = f"{_SERVICE}={self.name}_{part}" if part else f"com.docker.stack.namespace={self.name}"
        return node.docker("ps", "--quiet", "--filter", f"label={label}").split()

    def find(self, part: str) -> tuple[Node, str]:
        """Where one container of a part runs, and which."""
        for node in self.nodes:
            for container in self.containers(node, part):
                return node, container
        raise AssertionError(f"no container of {part} runs")

    def status(self) -> list[status.ProcessStatus]:
        """What ``kapelle status`` shows in the controller's container; nothing while a swarm starts that elsewhere."""
        there = [(node, one) for node in self.nodes for one in self.containers(node, "controller")]
        if not there:
            return []
        node, container = there[0]
        answer = node.docker.attempt("exec", container, "kapelle", "status", "--json")
        return status.decode(answer.output.encode()).processes if answer.output else []

    def images_that_run(self) -> set[str]:
        """The images of all containers."""
        found = set()
        for node in self.nodes:
            for container in self.containers(node):
                found.add(node.docker("inspect", "--format", "{{.Config.Image}}", container))
        return found

    def update_state(self, part: str) -> str:
        """How the last update of a part went."""
        template = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}"
        return self.swarm[1].docker("service", "inspect", "--format", template, f"{self.name}_{part}")

    def metric(self, name: str, parts: Iterable[str] = ("gateway", "reader", "page")) -> dict[str, float]:
        """The sum of a metric over the containers of each node."""
        found = {}
        for node in self.nodes:
            texts = [
                node.docker.exec(container, "python", "-c", _METRICS)
                for part in parts
                for container in self.containers(node, part)
            ]
            lines = [line for text in texts for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
            found[node.name] = sum(float(line.rpartition(" ")[2]) for line in lines)
        return found

    async def build_release(self, *options: str) -> None:
        """Build a release on the first node, in a container of the image that has the builder."""
        mount = ("--volume", f"{self._store}:/var/lib/kapelle/store")
        words = ("kapelle", "release", "build", self.name, *options)
        await asyncio.to_thread(self.swarm[1].docker, "run", "--rm", *mount, self.images["release"], *words)

    async def publish(self, release: str) -> str:
        """Publish a release in the controller's container; what that says."""
        node, container = self.find("controller")
        words = ("exec", container, "kapelle", "release", "publish", release)
        return await asyncio.to_thread(node.docker, *words, timeout=SLOW)
