"""What a cluster says of a system at one moment: how far its workloads are, and what keeps its pods from starting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

Item = Mapping[str, Any]
"""An object of the API, as ``kubectl get -o json`` has it."""

_WORKLOADS = ("Deployment", "StatefulSet", "Job")
_STARTING = ("ContainerCreating", "PodInitializing")
_HOPELESS = {"CrashLoopBackOff": 2, "InvalidImageName": 0}
"""What a container that cannot start waits for, and how often it was started again before it counts as one."""


class Seen:
    """The objects of a namespace, as they were."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = {f"{one['kind'].lower()}/{one['metadata']['name']}": one for one in items}

    @property
    def pods(self) -> set[str]:
        """The identities of all pods."""
        return {one["metadata"]["uid"] for one in self._of("Pod")}

    @property
    def pending_claims(self) -> list[str]:
        """The volume claims that have no volume."""
        return [
            one["metadata"]["name"]
            for one in self._of("PersistentVolumeClaim")
            if one.get("status", {}).get("phase") == "Pending"
        ]

    @property
    def workloads(self) -> list[str]:
        """The names of Deployments, StatefulSets and Jobs, such as ``deployment/encoder``."""
        return [name for name, one in self._items.items() if one["kind"] in _WORKLOADS]

    def revision(self, workload: str) -> str:
        """Which template a workload has; it changes with that and with nothing else."""
        item = self._items[workload]
        numbered = item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", "")
        return str(numbered or item.get("status", {}).get("updateRevision", ""))

    def state(self, workload: str) -> Item:
        """The status of a workload such as ``deployment/encoder``; it changes as that gets on."""
        found: Item = self._items.get(workload, {}).get("status", {})
        return found

    def is_done(self, workload: str) -> bool:
        """Whether a workload is what it is to be: each of its pods is of the newest template, and ready."""
        item = self._items.get(workload)
        if item is None:
            return False
        status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
        if item["kind"] == "Job":
            return _has(item, "Complete")
        if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
            return False
        if status.get("currentRevision") != status.get("updateRevision"):  # a Deployment has neither
            return False
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        return counts == {wanted}

    def has_failed(self, workload: str) -> bool:
        """Whether a job has given up."""
        return _has(self._items.get(workload, {}), "Failed")

    def troubles(self, part: str, known: Collection[str]) -> list[str]:
        """What keeps the pods of a part from starting, or ended them, those aside that are ``known``."""
        return [why for pod in self._new(part, known) for why in _troubles(pod)]

    def is_hopeless(self, part: str, known: Collection[str]) -> bool:
        """Whether a pod of a part that is not ``known`` cannot start."""
        waiting = [one for pod in self._new(part, known) for one in _waiting(pod)]
        return any(reason in _HOPELESS and again >= _HOPELESS[reason] for reason, _, again in waiting)

    def newest(self, part: str, known: Collection[str]) -> str:
        """The name of the youngest pod of a part that is not ``known``; empty where there is none."""
        found = sorted(
            (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]) for pod in self._new(part, known)
        )
        return found[-1][1] if found else ""

    def _new(self, part: str, known: Collection[str]) -> list[Item]:
        return [
            pod
            for pod in self._of("Pod")
            if pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == part
            and pod["metadata"]["uid"] not in known
        ]

    def _of(self, kind: str) -> list[Item]:
        return [one for one in self._items.values() if one["kind"] == kind]


def _troubles(pod: Item) -> Iterator[str]:
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield condition.get("message", "is not scheduled")
    for reason, message, _ in _waiting(pod):
        yield f"{reason}: {message}" if message else reason
    for one in pod.get("status", {}).get("containerStatuses", ()):
        ended = one.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            yield f"{ended.get('reason', 'Error')}: it ended with exit code {ended['exitCode']}"


def _waiting(pod: Item) -> Iterator[tuple[str, str, int]]:
    """Of each container that waits for more than its image: the reason, in words, and how often it was started again."""
    status = pod.get("status", {})
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = one.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _STARTING:
            yield waiting.get("reason", ""), waiting.get("message", ""), one.get("restartCount", 0)


def _has(item: Item, condition: str) -> bool:
    found = item.get("status", {}).get("conditions", ())
    return any(one["type"] == condition and one["status"] == "True" for one in found)
