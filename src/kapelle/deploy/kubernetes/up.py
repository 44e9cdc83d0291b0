"""Applying a system to a cluster, and waiting until it serves; and taking it away again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from kapelle.deploy import observing
from kapelle.deploy.kubernetes.seen import Seen
from kapelle.deploy.kubernetes.workloads import job_name
from kapelle.deploy.programs import Program, Say, last_lines
from kapelle.deploy.topology import Part, Role, Topology
from kapelle.errors import DeployError

_INSTANCE = "app.kubernetes.io/instance"
_LOG_LINES = "20"
_KINDS = (
    "deployment", "statefulset", "service", "job", "cronjob", "horizontalpodautoscaler", "poddisruptionbudget",
    "networkpolicy", "configmap", "serviceaccount",
)  # fmt: skip
_WATCHED = "deployment,statefulset,job,pod,persistentvolumeclaim"
_PAUSE = 2.0
"""Seconds between two looks at what starts."""
_AWAY = 60.0
"""Seconds that a cluster may not answer meanwhile, as when it is updated itself."""
_VOLUMES = 120.0
"""Seconds that a cluster has for making a volume."""


class Cluster:
    """The namespace of a system in a cluster."""

    def __init__(self, kubectl: Program, name: str) -> None:
        self._kubectl = kubectl
        self.name = name

    def exists(self) -> bool:
        """Whether there is the namespace."""
        return self._kubectl.succeeds("get", "namespace", self.name)

    def check(self, folder: Path) -> None:
        """See that the cluster would take all manifests; needs the namespace."""
        self._kubectl.run("apply", "-k", str(folder), "--dry-run=server")

    def apply(self, folder: Path) -> None:
        """Hand all manifests to the cluster."""
        self._kubectl.run("apply", "-k", str(folder))

    def look(self) -> Seen:
        """What there is at this moment."""
        return Seen(json.loads(self._run("get", _WATCHED, "--output", "json"))["items"])

    def go_back(self, before: Seen) -> None:
        """Have each workload as it was; one that was not there is removed."""
        now = self.look()
        for workload in now.workloads:
            if workload not in before.workloads:
                self._run("delete", workload, "--ignore-not-found")
            elif now.revision(workload) != before.revision(workload):
                self._run("rollout", "undo", workload)

    def log(self, pod: str) -> str:
        """The end of a pod's log; empty where there is none."""
        words = ("logs", pod, "--tail", _LOG_LINES, "--all-containers", "--ignore-errors")
        log = self._kubectl.log("--namespace", self.name, *words)
        return last_lines(log) if log.strip() else ""

    def why_pending(self, claim: str) -> str:
        """Why a volume claim has no volume, as the cluster says."""
        chosen = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={claim}"
        found = json.loads(self._run("get", "events", "--field-selector", chosen, "--output", "json"))["items"]
        return str(found[-1]["message"]) if found else "the cluster does not say why"

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


def up(cluster: Cluster, system: Topology, folder: Path, say: Say, pause: Callable[[float], None] = time.sleep) -> None:
    """Apply a system, and wait until all of it serves.

    Raises:
        DeployError: it does not. An update goes back; a first deployment is taken away again.
    """
    first, before = not cluster.exists(), cluster.look()
    watch = _Watch(cluster, system, before.pods, say, pause)
    if not first:
        cluster.check(folder)
    say("starting" if first else "updating, one pod at a time")
    try:
        cluster.apply(folder)
        for part in system.of(Role.RELEASE, Role.CONTROLLER, Role.REPLICA, Role.GATEWAY):
            watch.wait(part)
        # The system serves without them.
        for name in observing.VOLUMES:
            watch.tell_troubles(name)
    except (DeployError, KeyboardInterrupt):
        say("taking away what was started" if first else "going back to what ran before")
        with suppress(DeployError):  # what went wrong first is what is told
            if first:
                cluster.remove(volumes=True)
            else:
                cluster.go_back(before)
        raise


class _Watch:
    """Waits for workloads, and tells what they wait for. Pods that were there before are left out of that."""

    def __init__(
        self, cluster: Cluster, system: Topology, known: set[str], say: Say, pause: Callable[[float], None]
    ) -> None:
        self._cluster = cluster
        self._patience = system.patience + system.grace
        self._say = say
        self._pause = pause
        self._known = known
        self._told: set[str] = set()

    def wait(self, part: Part) -> None:
        """Return when a part is what it is to be.

        Raises:
            DeployError: it cannot be, or nothing has changed for as long as it may take to start.
        """
        workload, before, quiet = _workload(part), None, 0.0
        while not (seen := self._look()).is_done(workload):
            troubles = seen.troubles(part.name, self._known)
            self._tell(part.name, troubles)
            if seen.has_failed(workload) or seen.is_hopeless(part.name, self._known):
                raise self._failure(workload, part, seen)
            quiet = quiet + _PAUSE if seen.state(workload) == before else 0.0
            if seen.pending_claims and troubles and quiet >= _VOLUMES:
                raise self._no_volume(seen.pending_claims)
            # A release may take its time as long as somebody builds it.
            if quiet >= self._patience and (troubles or part.role is not Role.RELEASE):
                raise self._failure(workload, part, seen)
            before = seen.state(workload)
            self._pause(_PAUSE)
        self._say(f"{part.name}: {'there' if part.role is Role.RELEASE else 'ready'}")

    def tell_troubles(self, name: str) -> None:
        """Say what keeps something that nobody waits for."""
        self._tell(name, self._look().troubles(name, self._known))

    def _look(self) -> Seen:
        for _ in range(round(_AWAY / _PAUSE)):
            with suppress(DeployError):
                return self._cluster.look()
            self._pause(_PAUSE)
        return self._cluster.look()

    def _tell(self, name: str, troubles: Iterable[str]) -> None:
        for text in (f"{name}: {one}" for one in troubles):
            if text not in self._told:
                self._told.add(text)
                self._say(text)

    def _failure(self, workload: str, part: Part, seen: Seen) -> DeployError:
        pod = seen.newest(part.name, self._known)
        log = self._cluster.log(pod) if pod else ""
        troubles = dict.fromkeys(seen.troubles(part.name, self._known))
        says = "; ".join([*troubles, *([f"the log of {pod} ends with: {log}"] if log else [])])
        failing = "fails" if part.role is Role.RELEASE else "does not become ready"
        return DeployError(f"{workload} {failing}: {says or 'nothing has changed for too long'}")

    def _no_volume(self, claims: list[str]) -> DeployError:
        reasons = "; ".join(f"{one}: {self._cluster.why_pending(one)}" for one in claims)
        return DeployError(
            f"the cluster makes no volume for what the system has to store: {reasons}. The claim store has to be for many "
            "pods (ReadWriteMany): name a storage class that allows it by a patch in kustomization.yaml, or keep releases "
            "in S3 with --store s3://bucket/prefix"
        )


def _workload(part: Part) -> str:
    if part.role is Role.RELEASE:
        return f"job/{job_name(part)}"
    return f"{'statefulset' if part.copies else 'deployment'}/{part.name}"
