"""A file of manifests for each part: its pods, how they are found, and how many of them may be away at once."""

from __future__ import annotations

from typing import Any

from kapelle.deploy.kubernetes.pods import instance, labels, selector, template
from kapelle.deploy.topology import DATA, GRPC, HEALTH, HTTP, Part, Role, Topology
from kapelle.deploy.yaml import Note, document

Manifest = dict[str, Any]

_EMPTY: dict[str, Any] = {"emptyDir": {}}


def workload_files(system: Topology) -> dict[str, str]:
    """The text of each file, by its name."""
    files = {}
    for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY):
        manifests = [_set(system, part) if part.copies else _deployment(system, part), _peers(system, part)]
        if part.role is Role.GATEWAY:
            manifests.append(_front(system, part))
        if part.role is not Role.CONTROLLER:
            manifests.append(_budget(system, part))
        files[f"{part.name}.yaml"] = stream(_ABOUT[part.role].format(name=part.name), manifests)
    [release] = system.of(Role.RELEASE)
    files["release.yaml"] = stream(
        "Makes the first release in the store; does nothing where there is one.\n"
        "A job cannot change, so each image has one of its own.",
        [job(system, release)],
    )
    return files


_ABOUT = {
    Role.CONTROLLER: "Publishes releases, and tells replicas of sharded services which shards are theirs.",
    Role.REPLICA: "Replicas of {name}. Gateways find each of them by DNS, and balance by themselves.",
    Role.GATEWAY: "Gateways: they serve HTTP.",
}


def stream(comment: str, manifests: list[Manifest]) -> str:
    """Several manifests in one file."""
    first, *others = manifests
    return "---\n".join([document(comment, first), *(document("", one).lstrip() for one in others)])


def metadata(system: Topology, part: Part, name: str = "") -> dict[str, Any]:
    """The name and labels of what belongs to a part."""
    return {"name": name or part.name, "labels": labels(system, part)}


def job_name(part: Part) -> str:
    """The name of the job that makes the first release."""
    return f"release-{part.image.reference.rpartition(':')[2][:12]}"


def job(system: Topology, part: Part) -> Manifest:
    """The job that makes the first release."""
    spec = {
        "backoffLimit": 3,
        "ttlSecondsAfterFinished": 86400,
        "template": template(system, part, cache=_EMPTY),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(system, part, job_name(part)), "spec": spec}


def _deployment(system: Topology, part: Part) -> Manifest:
    if part.role is Role.CONTROLLER:
        strategy: Any = Note("There is one at a time; all else serves on without it.", {"type": "Recreate"})
    else:
        strategy = Note(
            "The new before the old.", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        )
    spec = {
        "replicas": part.count,
        "strategy": strategy,
        "progressDeadlineSeconds": system.patience + 60,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": selector(system, part)},
        "template": template(system, part, cache=_EMPTY),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(system, part), "spec": spec}


def _set(system: Topology, part: Part) -> Manifest:
    """Copies of shards keep their caches, so that one which comes back need not fetch its shards again."""
    claim = {
        "metadata": {"name": "cache"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    spec = {
        "replicas": part.count,
        "serviceName": part.name,
        "podManagementPolicy": "Parallel",
        "updateStrategy": Note("One copy at a time; the others serve meanwhile.", {"type": "RollingUpdate"}),
        "revisionHistoryLimit": 3,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
        "selector": {"matchLabels": selector(system, part)},
        "template": template(system, part, cache=None),
        "volumeClaimTemplates": Note("Each copy keeps what it has fetched.", [claim]),
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata(system, part), "spec": spec}


def _peers(system: Topology, part: Part) -> Manifest:
    ports = {"health": HEALTH} | ({"data": DATA} if part.role is Role.REPLICA else {})
    spec = {
        "clusterIP": Note("No address of its own: DNS has that of each pod.", "None"),
        "publishNotReadyAddresses": Note("Gateways and controller ask each pod themselves how it is.", True),
        "selector": selector(system, part),
        "ports": _ports(ports),
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(system, part), "spec": spec}


def _front(system: Topology, part: Part) -> Manifest:
    ports = {"http": HTTP} | ({"grpc": GRPC} if system.grpc_port else {})
    spec = {
        "type": Note("LoadBalancer, where clients are outside of the cluster.", "ClusterIP"),
        "selector": selector(system, part),
        "ports": [{**one, "port": system.port if one["name"] == "http" else system.grpc_port} for one in _ports(ports)],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(system, part, system.name), "spec": spec}


def _ports(ports: dict[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "port": number, "targetPort": number} for name, number in ports.items()]


def _budget(system: Topology, part: Part) -> Manifest:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(system, part)}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(system, part), "spec": spec}


def shared(system: Topology, kind: str, name: str, version: str, spec: Any) -> Manifest:
    """A manifest of something that belongs to the whole system."""
    about = {"name": name, "labels": instance(system)}
    return {"apiVersion": version, "kind": kind, "metadata": about, **({} if spec is None else {"spec": spec})}
