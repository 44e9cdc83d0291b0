"""A system on a Kubernetes cluster that is there already: deployed by the command that people type, and looked at.

``KUBECONFIG`` leads to the cluster. Its nodes have to get the images: from the registry whose name, and path in it, is in
``KUBERNETES_REGISTRY``, or, without that, from the engine that builds them, as in Minikube and Docker Desktop. Its
default storage class has to make volumes for many pods, and its nodes are reached from here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kapelle.config.engine import container_name
from kapelle.control import status
from tests.containers.command import kapelle
from tests.containers.docker import SLOW, Docker, DockerFailed, Outcome

FILES = "kubernetes"
EDITED = """
patches:
  - target: {{kind: Service, name: {name}}}
    patch: |
      - op: replace
        path: /spec/type
        value: NodePort
"""
"""What the tests add to the file that is the user's: clients outside of the cluster."""


class Cluster:
    """The app in ``app`` in a namespace of its own name; ``folder`` is where people would work on it."""

    def __init__(self, docker: Docker, folder: Path, app: Path) -> None:
        self.name = container_name(app.name)
        self.app = folder / app.name
        self._docker = docker
        self._folder = folder
        shutil.copytree(app, self.app, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "kapelle.toml").write_text('bake = "5s"\n')

    # --- commands -----------------------------------------------------------------------------------------------------

    def kapelle(self, *words: str) -> Outcome:
        """What became of a ``kapelle`` command."""
        return kapelle(*words, folder=self._folder, environment=self._docker.environment, timeout=2 * SLOW)

    def kubectl(self, *words: str, text: str = "") -> str:
        """What ``kubectl`` prints in the system's namespace.

        Raises:
            DockerFailed: its exit status is not 0.
        """
        done = subprocess.run(
            ["kubectl", "--namespace", self.name, *words],
            env=self._docker.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=SLOW,
            check=False,
        )
        if done.returncode:
            raise DockerFailed(f"kubectl {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def write(self) -> None:
        """Write the files, and let clients in from outside."""
        outcome = self.kapelle(*self._words)
        assert outcome.status == 0, outcome.last_lines
        with (self._folder / FILES / "kustomization.yaml").open("a") as file:
            file.write(EDITED.format(name=self.name))

    def up(self) -> Outcome:
        """Start or update it."""
        return self.kapelle(*self._words, "--up")

    def down(self) -> Outcome:
        """Take it away, with all that it has stored."""
        return self.kapelle("down", "kubernetes", self.app.name, "--out", FILES, "--volumes")

    @property
    def _words(self) -> tuple[str, ...]:
        registry = os.environ.get("KUBERNETES_REGISTRY", "")
        return (
            *("deploy", "kubernetes", self.app.name, "--out", FILES),
            *(("--registry", registry) if registry else ()),
        )

    def edit(self, old: str, new: str) -> None:
        """Change the app's code."""
        file = self.app / "app.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def scale(self, workload: str, count: int) -> None:
        """Have another number of pods; returns when that is so."""
        self.kubectl("scale", workload, f"--replicas={count}")
        self.kubectl("rollout", "status", workload, f"--timeout={SLOW:g}s")

    def give_secret(self, workload: str, secret: str) -> None:
        """Have the pods of a workload take another secret than all others."""
        volumes = json.loads(self.kubectl("get", workload, "--output", "json"))["spec"]["template"]["spec"]["volumes"]
        for one in volumes:
            if "secret" in one:
                one["secret"]["secretName"] = secret
        patch = {"spec": {"template": {"spec": {"volumes": volumes}}}}
        self.kubectl("patch", workload, "--type", "merge", "--patch", json.dumps(patch))

    async def build_release(self, name: str, *options: str) -> None:
        """Build a release in a job like that of the first one."""
        [job] = self.items("jobs")[:1]
        template = job["spec"]["template"]
        template["metadata"] = {"labels": {"app.kubernetes.io/instance": self.name}}
        [container] = template["spec"]["containers"]
        container["args"] = ["kapelle", "release", "build", self.app.name, *options]
        spec = {"backoffLimit": 0, "template": template}
        made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
        self.kubectl("create", "--filename", "-", text=json.dumps(made))
        await asyncio.to_thread(self.kubectl, "wait", "--for=condition=complete", f"job/{name}", "--timeout=120s")

    async def publish(self, release: str) -> None:
        """Publish a release in the controller's pod."""
        words = ("exec", "deploy/controller", "--", "kapelle", "release", "publish", release)
        await asyncio.to_thread(self.kubectl, *words)

    # --- what there is ------------------------------------------------------------------------------------------------

    def items(self, kind: str, *words: str) -> list[dict[str, Any]]:
        """The objects of a kind, as the API has them."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "--output", "json", *words))["items"]
        return found

    def pods(self, part: str) -> list[dict[str, Any]]:
        """The pods of a part that are not about to end."""
        found = self.items("pods", "--selector", f"app.kubernetes.io/name={part}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def doors(self) -> dict[str, str]:
        """Where clients of each node ask, by the node's name."""
        [service] = [one for one in self.items("services") if one["metadata"]["name"] == self.name]
        port = next(one["nodePort"] for one in service["spec"]["ports"] if one["name"] == "http")
        addresses = {
            node["metadata"]["name"]: one["address"]
            for node in self.items("nodes")
            for one in node["status"]["addresses"]
            if one["type"] == "InternalIP"
        }
        return {name: f"http://{address}:{port}" for name, address in addresses.items()}

    def status(self) -> list[status.ProcessStatus]:
        """What ``kapelle status`` shows in the controller's pod."""
        answer = self.kubectl("exec", "deploy/controller", "--", "kapelle", "status", "--json")
        return status.decode(answer.encode()).processes

    def exists(self) -> bool:
        """Whether anything of it is there."""
        return f"namespace/{self.name}\n" in self.kubectl("get", "namespaces", "--output", "name")
