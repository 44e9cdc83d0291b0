from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot

from kapelle.deploy.files import write_files
from kapelle.deploy.secrets import make_secrets
from kapelle.deploy.swarm import check_scale, check_store, stack_files
from kapelle.errors import DeployError
from tests.unit.deploy.golden_files import DIGESTS
from tests.unit.deploy.parsers import needs_stack
from tests.unit.deploy.systems import APPS, demanding, secured, system_of

STORE = "s3://models/kapelle"
PEERS_OVER_TLS = {
    "KAPELLE_PEER_CERTIFICATE": "/run/secrets/peer-certificate",
    "KAPELLE_PEER_KEY": "/run/secrets/peer-key",
    "KAPELLE_PEER_AUTHORITY": "/run/secrets/peer-authority",
}


def services(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files["stack.yaml"])["services"]
    return found


def test_a_store_of_one_machine_is_refused() -> None:
    with pytest.raises(DeployError, match="name a store that all of them reach: --store s3://bucket/prefix"):
        check_store(system_of("question_search"))
    check_store(system_of("question_search", store=STORE))


def test_the_new_comes_before_the_old_where_there_is_room() -> None:
    made = services(stack_files(system_of("question_search", store=STORE), DIGESTS, observe=False))
    orders = {
        name: one["deploy"]["update_config"]["order"] for name, one in made.items() if "update_config" in one["deploy"]
    }
    assert orders == snapshot(
        {
            "door": "stop-first",
            "controller": "stop-first",
            "encoder": "start-first",
            "cluster": "stop-first",
            "gateway": "start-first",
        }
    )
    assert all(
        one["deploy"]["update_config"]["failure_action"] == "rollback"
        for one in made.values()
        if "update_config" in one["deploy"]
    )


def test_copies_of_a_shard_are_on_different_machines() -> None:
    made = services(stack_files(system_of("question_search", store=STORE), DIGESTS, observe=False))
    assert made["cluster"]["deploy"]["placement"] == {"max_replicas_per_node": 1}
    # A copy that fails has gone back before the next one ends.
    update = made["cluster"]["deploy"]["update_config"]
    assert update["delay"] == update["monitor"]
    assert "placement" not in made["encoder"]["deploy"]
    single = services(
        stack_files(
            system_of(
                "question_search",
                store=STORE,
            ),
            DIGESTS,
            observe=False,
        )
        | stack_files(system_of("question_search", store=STORE, scale={"Cluster": 1}), DIGESTS, observe=False)
    )
    assert single["cluster"]["deploy"]["update_config"]["order"] == "start-first"


def test_every_machine_has_a_door_and_a_gateway() -> None:
    made = services(stack_files(system_of("question_search", store=STORE, port=80), DIGESTS, observe=False))
    door = made["door"]
    assert (door["deploy"]["mode"], made["gateway"]["deploy"]["mode"]) == ("global", "global")
    with pytest.raises(DeployError, match="--scale gateway=3: every machine of a swarm has one gateway"):
        check_scale({"encoder": 2, "gateway": 3})
    check_scale({"encoder": 2})
    assert door["ports"] == [
        {"target": 8080, "published": 80, "mode": "host"},
        {"target": 8081, "published": 81, "mode": "host"},
    ]


def test_grpc_is_published_where_it_is_served() -> None:
    quiet = services(stack_files(system_of("question_search", store=STORE, grpc_port=-1), DIGESTS, observe=False))
    assert [one["target"] for one in quiet["door"]["ports"]] == [8080]


def test_two_that_are_there_at_a_time_have_two_names() -> None:
    made = services(stack_files(system_of("question_search", store=STORE), DIGESTS, observe=False))
    assert {name: one["hostname"] for name, one in made.items() if "hostname" in one} == {
        "door": "{{.Service.Name}}.{{.Node.Hostname}}",
        "controller": "{{.Service.Name}}.{{.Task.Slot}}",
        "cluster": "{{.Service.Name}}.{{.Task.Slot}}",
    }


def test_no_virtual_addresses() -> None:
    made = services(stack_files(system_of("question_search", store=STORE), DIGESTS, observe=True))
    assert {name for name, one in made.items() if one["deploy"].get("endpoint_mode") != "dnsrr"} == {"release"}
    assert made["encoder"]["environment"]["KAPELLE_PEERS"] == "tasks.{service}"
    assert made["encoder"]["environment"]["KAPELLE_NODE"] == "{{.Node.Hostname}}"


def test_a_container_gets_what_its_service_asks_for() -> None:
    made = services(stack_files(demanding(store=STORE), DIGESTS, observe=False))["big-model"]
    assert made["deploy"]["placement"] == {"constraints": ["node.labels.disk==ssd"]}
    assert made["deploy"]["resources"] == snapshot(
        {
            "limits": {"cpus": "1.5", "memory": "1280M", "pids": 4096},
            "reservations": {
                "cpus": "1.5",
                "memory": "1280M",
                "generic_resources": [{"discrete_resource_spec": {"kind": "NVIDIA-GPU", "value": 1}}],
            },
        }
    )


def test_a_mounted_store_is_at_the_same_place_everywhere() -> None:
    made = services(stack_files(system_of("question_search", store="/srv/store"), DIGESTS, observe=False))
    assert made["encoder"]["volumes"][0] == {"type": "bind", "source": "/srv/store", "target": "/var/lib/kapelle/store"}


@needs_stack()
def test_a_dollar_of_the_users_is_a_dollar(tmp_path: Path) -> None:
    system = system_of("question_search", store=STORE)
    parts = tuple(replace(part, placement={"disk": "$5"}, command=("a", "${B}")) for part in system.parts)
    write_files(tmp_path, "app", stack_files(replace(system, parts=parts), DIGESTS, observe=False))
    make_secrets(tmp_path, ["kapelle", "s3.env"])
    done = subprocess.run(
        ["docker", "stack", "config", "-c", "stack.yaml", "-c", "versions.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    made = yaml.safe_load(done.stdout)["services"]["encoder"]
    assert made["command"] == ["a", "${B}"]
    assert made["deploy"]["placement"]["constraints"] == ["node.labels.disk==$5"]


def test_what_changes_with_a_build_is_in_a_file_of_its_own() -> None:
    files = stack_files(system_of("question_search", store=STORE), DIGESTS, observe=True)
    assert "0123456789ab" not in files["stack.yaml"]
    versions = yaml.safe_load(files["versions.yaml"])
    assert versions["services"]["encoder"]["image"] == "question-search:0123456789ab"
    assert versions["secrets"]["kapelle"]["name"] == "question-search-kapelle-00000000"
    again = stack_files(system_of("question_search", store=STORE), DIGESTS | {"kapelle": "22222222"}, observe=True)
    assert [name for name, text in files.items() if again[name] != text] == ["versions.yaml"]


def test_those_who_talk_to_each_other_get_the_certificates() -> None:
    digests = DIGESTS | {"peer-certificate": "22222222", "peer-key": "33333333", "peer-authority": "44444444"}
    files = stack_files(secured(system_of("question_search", store=STORE)), digests, observe=False)
    made = services(files)
    names = ["kapelle", "peer-certificate", "peer-key", "peer-authority"]
    given = {name: [secret["source"] for secret in one["secrets"]] for name, one in made.items() if "secrets" in one}
    assert given == dict.fromkeys(["controller", "encoder", "cluster", "gateway"], names)
    for name, service in made.items():
        told = {key: value for key, value in service["environment"].items() if "PEER_" in key}
        assert told == (PEERS_OVER_TLS if name in given else {})
    assert made["gateway"]["secrets"][2] == {
        "source": "peer-key", "target": "peer-key", "uid": "10001", "gid": "10001", "mode": 0o400,
    }  # fmt: skip
    assert yaml.safe_load(files["versions.yaml"])["secrets"]["peer-key"] == {
        "file": "./secrets/peer-key",
        "name": "question-search-peer-key-33333333",
    }


@needs_stack()
@pytest.mark.parametrize("app", APPS)
def test_docker_reads_it(app: str, tmp_path: Path) -> None:
    write_files(tmp_path, app, stack_files(system_of(app, store=STORE), DIGESTS, observe=True))
    make_secrets(tmp_path, ["kapelle", "grafana", "s3.env"])
    command = ["docker", "stack", "config", "-c", "stack.yaml", "-c", "versions.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["services"]["encoder" if app == "question_search" else "classifier"]["image"]
