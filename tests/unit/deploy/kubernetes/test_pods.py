from __future__ import annotations

from typing import Any

import yaml

from kapelle.deploy.kubernetes.pods import LEAVING, labels, ports, template
from kapelle.deploy.topology import Part, Role, Topology
from kapelle.deploy.yaml import document
from tests.unit.deploy.systems import demanding, system_of

SYSTEM = system_of("question_search")


def pod(system: Topology, part: Part) -> dict[str, Any]:
    """The template as Kubernetes reads it, without notes."""
    found: dict[str, Any] = yaml.safe_load(document("", template(system, part, cache={"emptyDir": {}})))
    return found["spec"]  # type: ignore[no-any-return]  # a parsed document


def test_pods_are_restricted() -> None:
    for part in SYSTEM.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY, Role.RELEASE):
        spec = pod(SYSTEM, part)
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"]["fsGroup"] == 10001
        assert spec["automountServiceAccountToken"] is False
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip


def test_a_pod_ends_when_it_has_drained() -> None:
    [gateway], replica = SYSTEM.of(Role.GATEWAY), SYSTEM.of(Role.REPLICA)[0]
    assert pod(SYSTEM, gateway)["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": LEAVING}}}
    assert pod(SYSTEM, gateway)["terminationGracePeriodSeconds"] == 30 + 15 + LEAVING
    assert pod(SYSTEM, replica)["terminationGracePeriodSeconds"] == 30 + 15
    assert "lifecycle" not in pod(SYSTEM, replica)["containers"][0]


def test_probes_ask_the_health_port() -> None:
    [container] = pod(SYSTEM, SYSTEM.of(Role.REPLICA)[0])["containers"]
    assert container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 600
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert {"name": "health", "containerPort": 7102} in container["ports"]


def test_copies_of_a_shard_never_share_a_machine() -> None:
    rules = {part.name: pod(SYSTEM, part)["topologySpreadConstraints"][0] for part in SYSTEM.of(Role.REPLICA)}
    assert rules["cluster"]["whenUnsatisfiable"] == "DoNotSchedule"
    assert rules["encoder"]["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_pod_gets_what_its_service_asks_for() -> None:
    [part] = demanding().of(Role.REPLICA)
    spec = pod(demanding(), part)
    assert spec["nodeSelector"] == {"disk": "ssd"}
    wanted = {"cpu": "1.5", "memory": "1280Mi", "nvidia.com/gpu": 1}
    assert spec["containers"][0]["resources"] == {"requests": wanted, "limits": wanted}


def test_a_pod_without_numbers_is_planned_for_and_not_limited() -> None:
    [container] = pod(SYSTEM, SYSTEM.of(Role.REPLICA)[0])["containers"]
    assert container["resources"] == {"requests": {"cpu": "250m", "memory": "256Mi"}}


def test_every_mount_has_its_volume() -> None:
    for system in (SYSTEM, system_of("question_search", store="s3://a/b")):
        for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY, Role.RELEASE):
            spec = pod(system, part)
            volumes = {one["name"] for one in spec["volumes"]}
            assert {one["name"] for one in spec["containers"][0]["volumeMounts"]} == volumes


def test_names_and_ports() -> None:
    [gateway] = SYSTEM.of(Role.GATEWAY)
    assert labels(SYSTEM, gateway) == {
        "app.kubernetes.io/instance": "question-search", "app.kubernetes.io/component": "gateway",
        "app.kubernetes.io/name": "gateway",
    }  # fmt: skip
    assert [one["name"] for one in ports(gateway)] == ["http", "control", "health"]
    assert ports(SYSTEM.of(Role.RELEASE)[0]) == []


def test_what_serves_begins_when_there_is_a_release() -> None:
    for part in SYSTEM.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY):
        [before] = pod(SYSTEM, part)["initContainers"]
        [container] = pod(SYSTEM, part)["containers"]
        assert before["args"] == ["kapelle", "release", "wait", SYSTEM.target]
        assert before["image"] == container["image"]
        assert before["securityContext"] == container["securityContext"]
        assert before["volumeMounts"] == container["volumeMounts"]
    [release] = SYSTEM.of(Role.RELEASE)
    assert "initContainers" not in pod(SYSTEM, release)
