"""What a system may have besides, each a component of kustomize: autoscaling, rebuilding, Prometheus and Grafana."""

from __future__ import annotations

from typing import Any

from kapelle.deploy import observing
from kapelle.deploy.kubernetes.pods import RESTRICTED, instance, template
from kapelle.deploy.kubernetes.workloads import Manifest, shared, stream
from kapelle.deploy.secrets import GRAFANA
from kapelle.deploy.topology import Part, Role, Topology
from kapelle.deploy.yaml import Note, document

_MOST = 4
"""Times the declared number of replicas that autoscaling may make of them."""
_QUEUE = "kapelle_replica_queued_rows"
_API = "kustomize.config.k8s.io/v1alpha1"


def component_files(system: Topology) -> dict[str, str]:
    """The text of each file, by its name below the folder of components."""
    return {**_autoscaling(system), **_rebuilding(system), **_observing(system)}


def _autoscaling(system: Topology) -> dict[str, str]:
    scaled = [part for part in system.of(Role.REPLICA, Role.GATEWAY) if not part.copies]
    replicas = [part for part in scaled if part.role is Role.REPLICA]
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    target = {"type": "AverageValue", "averageValue": "16"}
    queue = {"type": "Pods", "pods": {"metric": {"name": _QUEUE}, "target": target}}
    files = _component(
        "autoscale-cpu", "More containers when they are busy. Needs the metrics server.",
        [_scaler(system, part, cpu) for part in scaled], scaled,
    )  # fmt: skip
    if replicas:
        files |= _component(
            "autoscale-queue",
            f"More replicas when rows wait in them: {_QUEUE}, as the adapter of Prometheus\n"
            "offers it to the API of custom metrics. Instead of autoscale-cpu.",
            [_scaler(system, part, queue) for part in replicas], replicas,
        )  # fmt: skip
    return files


def _scaler(system: Topology, part: Part, metric: dict[str, Any]) -> Manifest:
    # Containers come at once and go slowly: a model is dear to load.
    behaviour = {
        "scaleUp": {"stabilizationWindowSeconds": 0},
        "scaleDown": {
            "stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }  # fmt: skip
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": part.name},
        "minReplicas": part.count,
        "maxReplicas": part.count * _MOST,
        "metrics": [metric],
        "behavior": behaviour,
    }
    return shared(system, "HorizontalPodAutoscaler", part.name, "autoscaling/v2", spec)


def _component(name: str, about: str, manifests: list[Manifest], scaled: list[Part]) -> dict[str, str]:
    remove = "- op: remove\n  path: /spec/replicas\n"
    patches = [{"target": {"kind": "Deployment", "name": part.name}, "patch": remove} for part in scaled]
    kustomization = {
        "apiVersion": _API,
        "kind": "Component",
        "resources": ["scalers.yaml"],
        "patches": Note("The autoscaler has the number; applying this again leaves it alone.", patches),
    }
    return {
        f"{name}/kustomization.yaml": document(about, kustomization),
        f"{name}/scalers.yaml": stream(about, manifests),
    }


def _rebuilding(system: Topology) -> dict[str, str]:
    [release] = system.of(Role.RELEASE)
    pods = template(system, release, cache={"emptyDir": {}})
    # Without --once: what has changed becomes a new release.
    [container] = pods["spec"]["containers"]
    container["args"] = [word for word in container["args"] if word != "--once"]
    spec = {
        "schedule": Note("Each night.", "0 3 * * *"),
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"spec": {"backoffLimit": 1, "template": pods}},
    }
    about = "Builds a release on a schedule. It is stored; `kapelle release publish` makes it the current one."
    return {
        "rebuild/kustomization.yaml": document(
            about, {"apiVersion": _API, "kind": "Component", "resources": ["cronjob.yaml"]}
        ),
        "rebuild/cronjob.yaml": stream(about, [shared(system, "CronJob", "rebuild", "batch/v1", spec)]),
    }


def _observing(system: Topology) -> dict[str, str]:
    names = [part.name for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY)]
    about = "Prometheus and Grafana: kubectl port-forward service/grafana 3000"
    files = {f"observe/{name}": text for name, text in observing.files(names).items()}
    configs = {
        name: [f"{path.rpartition('/')[2]}={path}" for path in mounts] for name, mounts in observing.MOUNTS.items()
    }
    kustomization = {
        "apiVersion": _API,
        "kind": "Component",
        "resources": ["prometheus.yaml", "grafana.yaml"],
        "configMapGenerator": [{"name": name, "files": paths} for name, paths in configs.items()],
        "secretGenerator": [{"name": GRAFANA, "files": [f"secrets/{GRAFANA}"]}],
    }
    return {
        "observe/kustomization.yaml": document(about, kustomization),
        "observe/prometheus.yaml": _observer(system, "prometheus", 9090, 65534, "/prometheus"),
        "observe/grafana.yaml": _observer(system, "grafana", 3000, 472, "/var/lib/grafana"),
        **files,
    }


def _observer(system: Topology, name: str, port: int, user: int, data: str) -> str:
    labels = {**instance(system), "app.kubernetes.io/component": name, "app.kubernetes.io/name": name}
    options = observing.services()[name]
    mounts = [
        {"name": "files", "mountPath": target, "subPath": path.rpartition("/")[2], "readOnly": True}
        for path, target in observing.MOUNTS[name].items()
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "files", "configMap": {"name": name}},
        {"name": "data", "emptyDir": {"sizeLimit": "5Gi"}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]
    if name == GRAFANA:
        mounts.append({"name": "secret", "mountPath": observing.PASSWORD.rpartition("/")[0], "readOnly": True})
        volumes.append({"name": "secret", "secret": {"secretName": GRAFANA}})
    variables = [{"name": key, "value": value} for key, value in options.get("environment", {}).items()]
    container = {
        "name": name,
        "image": options["image"],
        **({"args": options["command"]} if "command" in options else {"env": variables}),
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [*mounts, {"name": "data", "mountPath": data}, {"name": "memory", "mountPath": _TEMPORARY}],
    }
    spec = {
        "serviceAccountName": system.name,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }  # fmt: skip
    deployment = shared(system, "Deployment", name, "apps/v1", {
        "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": spec},
    })  # fmt: skip
    service = shared(system, "Service", name, "v1", {
        "selector": labels, "ports": [{"name": "http", "port": port, "targetPort": "http"}],
    })  # fmt: skip
    own = [{"podSelector": {"matchLabels": instance(system)}}]
    opened = shared(system, "NetworkPolicy", name, "networking.k8s.io/v1", {
        "podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"],
        "ingress": [{"from": own, "ports": [{"protocol": "TCP", "port": port}]}],
    })  # fmt: skip
    about = {
        "prometheus": "Reads the metrics of each pod. What it has seen goes with its pod.",
        "grafana": "Draws them.",
    }
    return stream(about[name], [deployment, service, opened])


_TEMPORARY = "/tmp"  # noqa: S108 - the container's own
