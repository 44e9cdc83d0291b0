from __future__ import annotations

import yaml

from kapelle.deploy.kubernetes.components import component_files
from tests.unit.deploy.kubernetes.manifests import named, read_all
from tests.unit.deploy.systems import system_of

FILES = component_files(system_of("question_search", gateways=2))


def test_autoscaling_by_cpu_begins_at_the_declared_number() -> None:
    scalers = read_all(FILES["autoscale-cpu/scalers.yaml"])
    assert {one["metadata"]["name"] for one in scalers} == {"encoder", "gateway"}
    made = named(scalers, "HorizontalPodAutoscaler", "encoder")["spec"]
    assert (made["minReplicas"], made["maxReplicas"]) == (2, 8)


def test_autoscaling_by_queue_asks_for_our_metric() -> None:
    [made] = read_all(FILES["autoscale-queue/scalers.yaml"])
    [metric] = made["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "kapelle_replica_queued_rows"


def test_the_number_is_the_autoscalers() -> None:
    made = yaml.safe_load(FILES["autoscale-cpu/kustomization.yaml"])
    assert yaml.safe_load(made["patches"][0]["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_rebuilding_makes_a_release_each_time() -> None:
    [made] = read_all(FILES["rebuild/cronjob.yaml"])
    [container] = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["kapelle", "release", "build", "apps/question_search"]
    assert made["spec"]["concurrencyPolicy"] == "Forbid"


def test_observers_mount_what_their_generators_make() -> None:
    kustomization = yaml.safe_load(FILES["observe/kustomization.yaml"])
    keys = {
        one["name"]: {file.partition("=")[0] for file in one["files"]} for one in kustomization["configMapGenerator"]
    }
    for name in ("prometheus", "grafana"):
        spec = named(read_all(FILES[f"observe/{name}.yaml"]), "Deployment", name)["spec"]["template"]["spec"]
        mounted = {one["subPath"] for one in spec["containers"][0]["volumeMounts"] if one["name"] == "files"}
        assert mounted == keys[name]
        assert spec["securityContext"]["runAsNonRoot"]
