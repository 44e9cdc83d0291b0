from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kapelle.deploy.files import write_files
from kapelle.deploy.kubernetes.files import kubernetes_files
from kapelle.deploy.secrets import GRAFANA, PEERS, S3, make_secrets
from kapelle.deploy.topology import Role, Topology
from kapelle.errors import DeployError
from tests.unit.deploy.kubernetes.manifests import Manifest, read_all
from tests.unit.deploy.parsers import needs_kustomize
from tests.unit.deploy.systems import demanding, secured, system_of

# The newest that there are schemas of.
VERSIONS = [f"1.{minor}" for minor in range(33, 38)]
SYSTEMS = {
    "question_search": system_of("question_search", gateways=2),
    "image_pipeline": system_of("image_pipeline", gateways=2, store="s3://a/b", grpc_port=8081),
    "demanding": demanding(),
    "secured": secured(system_of("question_search", gateways=2)),
}


def manifests(system: Topology) -> list[Manifest]:
    """All manifests, without what only kustomize and Grafana read."""
    files = kubernetes_files(system, observe=True)
    return [
        one
        for name, text in files.items()
        if name.endswith(".yaml") and not name.endswith("kustomization.yaml")
        for one in read_all(text)
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_valid_in_strict_mode(system: str, version: str) -> None:
    for one in manifests(SYSTEMS[system]):
        kubernetes_validate.validate(one, version, strict=True)


def test_the_check_would_find_something() -> None:
    [one, *_] = manifests(SYSTEMS["question_search"])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**one, "specs": {}}, VERSIONS[-1], strict=True)


@needs_kustomize()
@pytest.mark.parametrize(
    ("system", "component"),
    [
        ("question_search", "autoscale-cpu"), ("question_search", "autoscale-queue"), ("question_search", "rebuild"),
        ("image_pipeline", "observe"), ("secured", "rebuild"),
    ],
)  # fmt: skip
def test_kustomize_makes_valid_manifests_of_it(system: str, component: str, tmp_path: Path) -> None:
    write_files(tmp_path, system, kubernetes_files(SYSTEMS[system], observe=False))
    make_secrets(tmp_path / "base", [PEERS, S3, *SYSTEMS[system].certificates.files])
    make_secrets(tmp_path / "components/observe", [GRAFANA])
    top = tmp_path / "kustomization.yaml"
    top.write_text(top.read_text().replace("components: []", f"components: [components/{component}]"))
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = read_all(done.stdout)
    for one in made:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
    images = [
        container["image"]
        for one in made
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]
    assert images
    assert not [image for image in images if image.startswith("kapelle-")], "an image without its tag"
    if component.startswith("autoscale"):
        scaled = {one["spec"]["scaleTargetRef"]["name"] for one in made if one["kind"] == "HorizontalPodAutoscaler"}
        assert scaled
        assert all(
            "replicas" not in one["spec"]
            for one in made
            if one["kind"] == "Deployment" and one["metadata"]["name"] in scaled
        )


def test_a_folder_is_no_store_for_pods() -> None:
    with pytest.raises(DeployError, match="is a folder of a machine, and pods run on any"):
        kubernetes_files(system_of("question_search", store="store"), observe=False)


def with_service_called(name: str) -> Topology:
    system = demanding()
    parts = tuple(replace(one, name=name) if one.role is Role.REPLICA else one for one in system.parts)
    return replace(system, parts=parts)


@pytest.mark.parametrize("name", ["network", "store", "account", "namespace", "kustomization"])
def test_a_service_takes_the_place_of_no_file_of_ours(name: str) -> None:
    before = kubernetes_files(demanding(), observe=False)
    found = kubernetes_files(with_service_called(name), observe=False)
    assert found[f"base/{name}.yaml"] == before[f"base/{name}.yaml"] or name == "kustomization"
    assert [one["kind"] for one in read_all(found[f"base/{name}.replicas.yaml"])][:2] == ["Deployment", "Service"]
    assert f"{name}.replicas.yaml" in yaml.safe_load(found["base/kustomization.yaml"])["resources"]


def test_an_app_and_its_service_need_two_names() -> None:
    with pytest.raises(DeployError, match=r"both be called demanding, .*; rename one of the classes"):
        kubernetes_files(with_service_called("demanding"), observe=False)


def test_a_new_build_changes_the_base_alone() -> None:
    files = kubernetes_files(SYSTEMS["question_search"], observe=False)
    assert {name for name, text in files.items() if "0123456789ab" in text} == {
        "base/kustomization.yaml",
        "base/release.yaml",
    }


def test_secrets_are_no_manifests() -> None:
    assert "Secret" not in {one["kind"] for one in manifests(SYSTEMS["image_pipeline"])}
    base = yaml.safe_load(kubernetes_files(SYSTEMS["image_pipeline"], observe=False)["base/kustomization.yaml"])
    assert base["secretGenerator"] == [
        {"name": "kapelle", "files": ["secrets/kapelle"]},
        {"name": "s3", "envs": ["secrets/s3.env"]},
    ]


def test_certificates_are_beside_the_secret() -> None:
    base = yaml.safe_load(kubernetes_files(SYSTEMS["secured"], observe=False)["base/kustomization.yaml"])
    names = ["kapelle", "peer-certificate", "peer-key", "peer-authority"]
    assert base["secretGenerator"] == [{"name": "kapelle", "files": [f"secrets/{name}" for name in names]}]
    [settings] = base["configMapGenerator"]
    assert [one for one in settings["literals"] if "PEER_" in one] == [
        "KAPELLE_PEER_CERTIFICATE=/run/secrets/peer-certificate",
        "KAPELLE_PEER_KEY=/run/secrets/peer-key",
        "KAPELLE_PEER_AUTHORITY=/run/secrets/peer-authority",
    ]


def test_observing_is_chosen_in_the_users_file() -> None:
    system = SYSTEMS["question_search"]
    assert yaml.safe_load(kubernetes_files(system, observe=True)["kustomization.yaml"])["components"] == [
        "components/observe"
    ]
    assert yaml.safe_load(kubernetes_files(system, observe=False)["kustomization.yaml"])["components"] == []
