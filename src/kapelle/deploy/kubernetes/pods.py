"""What a container may do on Kubernetes, when it counts as started, ready and alive, and how long it may take to end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kapelle.deploy.secrets import PEERS, S3
from kapelle.deploy.service_options import mebibytes, takes_secret
from kapelle.deploy.topology import (
    CACHE,
    CONTROL,
    DATA,
    HEALTH,
    HTTP,
    RUN,
    SECRETS,
    STORE,
    USER,
    Part,
    Role,
    Topology,
    environment,
)
from kapelle.deploy.yaml import Note

LEAVING = 10
"""Seconds in which endpoints and load balancers learn that a gateway goes, while it still serves."""
_PROBE_EVERY = 5
_REQUESTS = {"cpu": "250m", "memory": "256Mi"}
"""What a container without numbers of its own is planned for; a share of CPU that autoscaling can count in, too."""
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
"""What containers may do: nothing that needs a right."""


def labels(system: Topology, part: Part) -> dict[str, str]:
    """The labels of the pods of a part."""
    return {**instance(system), "app.kubernetes.io/component": part.role.value, "app.kubernetes.io/name": part.name}


def instance(system: Topology) -> dict[str, str]:
    """The label of all that belongs to a system."""
    return {"app.kubernetes.io/instance": system.name}


def template(system: Topology, part: Part, *, cache: Mapping[str, Any] | None) -> dict[str, Any]:
    """The template of a part's pods; ``cache`` is the volume of its cache, where the pod brings it itself."""
    job = part.role is Role.RELEASE
    spec = {
        "serviceAccountName": system.name,
        "automountServiceAccountToken": Note("Nothing here asks Kubernetes for anything.", False),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": Note("The drain, and what comes before and after it.", _grace(system, part)),
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"restartPolicy": Note("A pod that failed stays, and so does its log.", "Never")} if job else {}),
        **_where(system, part),
        **({} if job else {"initContainers": _waiting(system, part)}),
        "containers": [_container(system, part)],
        "volumes": _volumes(system, part, cache),
    }  # fmt: skip
    # Commands such as `kubectl logs` take the container that serves, not the one before it.
    chosen = {"kubectl.kubernetes.io/default-container": part.role.value}
    return {"metadata": {"labels": labels(system, part), "annotations": chosen}, "spec": spec}


def _grace(system: Topology, part: Part) -> int:
    return system.grace + (LEAVING if part.role is Role.GATEWAY else 0)


def _where(system: Topology, part: Part) -> dict[str, Any]:
    if part.role is Role.RELEASE:
        return {}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule" if part.copies else "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(system, part)},
    }
    why = "Copies of a shard are worth nothing on one machine." if part.copies else "Better on different machines."
    return {
        **({"nodeSelector": dict(sorted(part.placement.items()))} if part.placement else {}),
        "topologySpreadConstraints": Note(why, [spread]),
    }


def selector(system: Topology, part: Part) -> dict[str, str]:
    """The labels by which the pods of a part are found."""
    return {**instance(system), "app.kubernetes.io/name": part.name}


def _container(system: Topology, part: Part) -> dict[str, Any]:
    own = {
        name: value
        for name, value in environment(system, part, peers="{service}", node="").items()
        if name not in SHARED and name != "KAPELLE_NODE"
    }
    variables: list[dict[str, Any]] = [{"name": name, "value": str(value)} for name, value in own.items()]
    if takes_secret(part):
        variables.append({"name": "KAPELLE_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    return {
        "name": part.role.value,
        "image": image_name(part),
        "args": list(part.command),
        "envFrom": _shared_variables(system),
        **({"env": variables} if variables else {}),
        **({"ports": ports(part)} if ports(part) else {}),
        **({} if part.role is Role.RELEASE else _probes(system, part)),
        "resources": _resources(part),
        "securityContext": RESTRICTED,
        "volumeMounts": _mounts(system, part),
    }


def _waiting(system: Topology, part: Part) -> Note:
    """What runs before: the probes of the container itself count from when there is something to load."""
    container = {
        "name": "wait",
        "image": image_name(part),
        "args": ["kapelle", "release", "wait", system.target],
        "envFrom": _shared_variables(system),
        "resources": {"requests": _REQUESTS},
        "securityContext": RESTRICTED,
        "volumeMounts": _mounts(system, part),
    }
    return Note("However long the first release is built, this waits for it.", [container])


def _shared_variables(system: Topology) -> list[dict[str, Any]]:
    s3 = [{"secretRef": {"name": "s3"}}] if system.in_s3 else []
    return [{"configMapRef": {"name": "settings"}}, *s3]


SHARED = (
    "KAPELLE_LOG_FORMAT", "KAPELLE_HEALTH_PORT", "KAPELLE_STORE", "KAPELLE_CACHE", "KAPELLE_RUN_DIR",
    "KAPELLE_SECRET_FILE", "KAPELLE_PEERS", "KAPELLE_DATA_PORT", "KAPELLE_CONTROL_PORT",
    "KAPELLE_PEER_CERTIFICATE", "KAPELLE_PEER_KEY", "KAPELLE_PEER_AUTHORITY",
)  # fmt: skip
"""The settings that all containers share; they are in a ConfigMap."""


def image_name(part: Part) -> str:
    """The name that manifests have for an image; the kustomization says which image it is."""
    return f"kapelle-{'gateway' if part.role is Role.CONTROLLER else part.name}"


def ports(part: Part) -> list[dict[str, Any]]:
    """The ports of a part by their names."""
    found = {
        Role.GATEWAY: {"http": HTTP, "control": CONTROL, "health": HEALTH},
        Role.REPLICA: {"data": DATA, "control": CONTROL, "health": HEALTH},
        Role.CONTROLLER: {"health": HEALTH},
    }.get(part.role, {})
    return [{"name": name, "containerPort": number} for name, number in found.items()]


def _probes(system: Topology, part: Part) -> dict[str, Any]:
    ready, alive = ({"httpGet": {"path": path, "port": "health"}} for path in ("/readyz", "/livez"))
    leaving = {"preStop": {"sleep": {"seconds": LEAVING}}}
    return {
        "startupProbe": Note(
            f"It may load for {system.patience} s.",
            {**ready, "periodSeconds": _PROBE_EVERY, "failureThreshold": max(1, -(-system.patience // _PROBE_EVERY))},
        ),
        "readinessProbe": {**ready, "periodSeconds": _PROBE_EVERY, "failureThreshold": 1, "timeoutSeconds": 3},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 3, "timeoutSeconds": 5},
        **(
            {"lifecycle": Note("It serves on while load balancers forget it.", leaving)}
            if part.role is Role.GATEWAY
            else {}
        ),
    }


def _resources(part: Part) -> dict[str, Any]:
    declared = {
        **({} if part.cpus is None else {"cpu": f"{part.cpus:g}"}),
        **({} if part.memory is None else {"memory": mebibytes(part.memory) + "i"}),
        **({"nvidia.com/gpu": part.gpus} if part.gpus else {}),
    }
    return {"requests": {**_REQUESTS, **declared}, **({"limits": declared} if declared else {})}


def _mounts(system: Topology, part: Part) -> list[dict[str, Any]]:
    place = "/tmp"  # noqa: S108 - the container's own
    return [
        *([] if system.in_s3 else [{"name": "store", "mountPath": STORE}]),
        {"name": "cache", "mountPath": CACHE},
        *([{"name": "secret", "mountPath": SECRETS, "readOnly": True}] if takes_secret(part) else []),
        {"name": "memory", "mountPath": place, "subPath": "tmp"},
        {"name": "memory", "mountPath": RUN, "subPath": "run"},
    ]


def _volumes(system: Topology, part: Part, cache: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [
        *([] if system.in_s3 else [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]),
        *([{"name": "cache", **cache}] if cache is not None else []),
        *([{"name": "secret", "secret": {"secretName": PEERS}}] if takes_secret(part) else []),
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
    ]


def credentials() -> dict[str, Any]:
    """The secret with what opens a store in S3, as kustomize makes it."""
    return {"name": "s3", "envs": [f"secrets/{S3}"]}
