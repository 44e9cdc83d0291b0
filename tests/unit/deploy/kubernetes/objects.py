"""What a cluster would say of the objects of a system."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def deployment(name: str, *, ready: int = 1, wanted: int = 1, revision: int = 1, observed: int = 1) -> Item:
    """A Deployment of which so many pods are new and ready."""
    counts = {"replicas": wanted, "updatedReplicas": ready, "availableReplicas": ready}
    about = {
        "name": name, "uid": f"deployment-{name}", "generation": 1,
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
    }  # fmt: skip
    status = {**counts, "observedGeneration": observed}
    return {"kind": "Deployment", "metadata": about, "spec": {"replicas": wanted}, "status": status}


def stateful_set(name: str, *, revision: str = "one", current: str = "one", ready: int = 2) -> Item:
    """A StatefulSet of two."""
    status = {
        "replicas": 2, "updatedReplicas": 2, "availableReplicas": ready, "observedGeneration": 1,
        "currentRevision": current, "updateRevision": revision,
    }  # fmt: skip
    about = {"name": name, "uid": f"set-{name}", "generation": 1}
    return {"kind": "StatefulSet", "metadata": about, "spec": {"replicas": 2}, "status": status}


def job(name: str, condition: str = "") -> Item:
    """A job that is running, or has this condition."""
    conditions = [{"type": condition, "status": "True"}] if condition else []
    about = {"name": name, "uid": f"job-{name}"}
    return {"kind": "Job", "metadata": about, "spec": {}, "status": {"conditions": conditions}}


def pod(part: str, uid: str = "1", *, waiting: str = "", says: str = "", again: int = 0, unscheduled: str = "") -> Item:
    """A pod of a part, whose container waits for a reason, or which is not scheduled."""
    state = {"waiting": {"reason": waiting, "message": says}} if waiting else {"running": {}}
    conditions = [{"type": "PodScheduled", "status": "False", "message": unscheduled}] if unscheduled else []
    about = {
        "name": f"{part}-{uid}", "uid": uid, "labels": {"app.kubernetes.io/name": part},
        "creationTimestamp": f"2026-01-01T00:00:0{uid}Z",
    }  # fmt: skip
    status = {"conditions": conditions, "containerStatuses": [{"state": state, "restartCount": again}]}
    return {"kind": "Pod", "metadata": about, "spec": {}, "status": status}


def claim(name: str, phase: str) -> Item:
    """A volume claim."""
    about = {"name": name, "uid": f"claim-{name}"}
    return {"kind": "PersistentVolumeClaim", "metadata": about, "spec": {}, "status": {"phase": phase}}
