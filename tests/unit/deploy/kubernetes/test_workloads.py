from __future__ import annotations

from kapelle.deploy.kubernetes.workloads import workload_files
from tests.unit.deploy.kubernetes.manifests import named, read_all
from tests.unit.deploy.systems import system_of

FILES = workload_files(system_of("question_search", gateways=2, port=80, grpc_port=8081))


def test_sharded_services_keep_their_caches() -> None:
    made = named(read_all(FILES["cluster.yaml"]), "StatefulSet", "cluster")["spec"]
    assert (made["replicas"], made["serviceName"], made["podManagementPolicy"]) == (2, "cluster", "Parallel")
    assert made["volumeClaimTemplates"][0]["metadata"]["name"] == "cache"


def test_new_pods_come_before_the_old_go() -> None:
    made = named(read_all(FILES["encoder.yaml"]), "Deployment", "encoder")["spec"]
    assert made["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert named(read_all(FILES["controller.yaml"]), "Deployment", "controller")["spec"]["strategy"] == {
        "type": "Recreate"
    }


def test_dns_has_the_address_of_each_pod() -> None:
    for part in ("encoder", "cluster", "gateway", "controller"):
        made = named(read_all(FILES[f"{part}.yaml"]), "Service", part)["spec"]
        assert made["clusterIP"] == "None"
        assert made["publishNotReadyAddresses"]


def test_clients_have_an_address() -> None:
    made = named(read_all(FILES["gateway.yaml"]), "Service", "question-search")["spec"]
    assert made["ports"] == [
        {"name": "http", "port": 80, "targetPort": 8080}, {"name": "grpc", "port": 8081, "targetPort": 8081},
    ]  # fmt: skip


def test_one_may_be_away_at_a_time() -> None:
    assert named(read_all(FILES["encoder.yaml"]), "PodDisruptionBudget", "encoder")["spec"]["maxUnavailable"] == 1


def test_each_image_has_a_job_of_its_own() -> None:
    [made] = read_all(FILES["release.yaml"])
    assert made["metadata"]["name"] == "release-0123456789ab"
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_selectors_find_the_pods() -> None:
    for text in FILES.values():
        for one in read_all(text):
            if one["kind"] in ("Deployment", "StatefulSet"):
                assert (
                    one["spec"]["selector"]["matchLabels"].items()
                    <= one["spec"]["template"]["metadata"]["labels"].items()
                )
