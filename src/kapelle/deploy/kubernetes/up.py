"""Applying a system to a cluster, and waiting until it serves; and taking it away again."""

from __future__ import annotations

from pathlib import Path

from kapelle.deploy.programs import Program, Say, last_lines
from kapelle.deploy.topology import Role, Topology
from kapelle.errors import DeployError

_INSTANCE = "app.kubernetes.io/instance"
_LOG_LINES = "20"
_KINDS = (
    "deployment", "statefulset", "service", "job", "cronjob", "horizontalpodautoscaler", "poddisruptionbudget",
    "networkpolicy", "configmap", "serviceaccount",
)  # fmt: skip


class Cluster:
    """The namespace of a system in a cluster."""

    def __init__(self, kubectl: Program, name: str) -> None:
        self._kubectl = kubectl
        self.name = name

    def exists(self) -> bool:
        """Whether there is the namespace."""
        return self._kubectl.succeeds("get", "namespace", self.name)

    def apply(self, folder: Path) -> None:
        """Hand all manifests to the cluster."""
        self._kubectl.run("apply", "-k", str(folder))

    def wait(self, workload: str, seconds: int) -> None:
        """Wait until a workload is what it is to be."""
        self._run("rollout", "status", workload, f"--timeout={seconds}s")

    def undo(self, workload: str) -> None:
        """Go back to what a workload was before."""
        self._run("rollout", "undo", workload)

    def why(self, part: str) -> str:
        """The end of the log of a part's newest pod, or what keeps it from starting."""
        chosen = f"{_INSTANCE}={self.name},app.kubernetes.io/name={part}"
        try:
            return last_lines(self._run("logs", "--selector", chosen, "--tail", _LOG_LINES, "--all-containers"))
        except DeployError:
            return last_lines(self._run("get", "pods", "--selector", chosen))

    def remove(self, *, volumes: bool) -> list[str]:
        """Remove what there is; returns what it was. The namespace, secrets and volumes stay unless ``volumes``."""
        if volumes:
            done = self._kubectl.run("delete", "namespace", self.name, "--ignore-not-found")
        else:
            chosen = ["--selector", f"{_INSTANCE}={self.name}", "--ignore-not-found"]
            done = self._run("delete", ",".join(_KINDS), *chosen)
        return [line.partition(" deleted")[0].replace('"', "") for line in done.splitlines()]

    def _run(self, *arguments: str) -> str:
        return self._kubectl.run("--namespace", self.name, *arguments)


def up(cluster: Cluster, system: Topology, folder: Path, say: Say) -> None:
    """Apply a system, and wait until all of it serves.

    Raises:
        DeployError: it does not. An update goes back; a first deployment is taken away again.
    """
    first = not cluster.exists()
    say("starting" if first else "updating, one pod at a time")
    cluster.apply(folder)
    done: list[str] = []
    try:
        for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY):
            workload = f"{'statefulset' if part.copies else 'deployment'}/{part.name}"
            done.append(workload)
            _wait(cluster, workload, part.name, (system.patience + system.grace) * max(1, part.count))
            say(f"{part.name}: ready")
    except (DeployError, KeyboardInterrupt):
        if first:
            say("taking away what was started")
            cluster.remove(volumes=True)
        else:
            say("going back to what ran before")
            for workload in done:
                cluster.undo(workload)
        raise


def _wait(cluster: Cluster, workload: str, name: str, seconds: int) -> None:
    try:
        cluster.wait(workload, seconds)
    except DeployError as error:
        raise DeployError(
            f"{workload} does not become ready: {error.detail}; its log ends with: {cluster.why(name)}"
        ) from None
