from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot

from kapelle.deploy.compose import compose_files, secret_names
from kapelle.deploy.files import Fate, write_files
from kapelle.deploy.secrets import make_secrets
from tests.unit.deploy.golden_files import FOLDER, generated
from tests.unit.deploy.parsers import needs_compose
from tests.unit.deploy.systems import APPS, TAG, demanding, secured, system_of


def read(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files["compose.yaml"])
    return found


@pytest.mark.parametrize("app", APPS)
def test_files_of_all_engines_are_as_they_are_to_be(app: str) -> None:
    """``python -m tests.unit.deploy.golden_files`` writes them anew."""
    made = generated(app)
    kept = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / app).rglob("*") if path.is_file()}
    assert kept == made.keys()
    assert {name for name, text in made.items() if (FOLDER / name).read_text() != text} == set()


@pytest.mark.parametrize("app", APPS)
def test_generating_twice_writes_nothing(app: str, tmp_path: Path) -> None:
    write_files(tmp_path, app, generated(app))
    assert {one.fate for one in write_files(tmp_path, app, generated(app))} == {Fate.UNCHANGED}


def test_containers_are_bounded_and_gain_no_rights(tmp_path: Path) -> None:
    services = read(compose_files(system_of("question_search"), tmp_path, observe=True))["services"]
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert "container_name" not in service


def test_only_the_door_is_published(tmp_path: Path) -> None:
    services = read(compose_files(system_of("question_search", port=9000), tmp_path, observe=False))["services"]
    assert {name: one["ports"] for name, one in services.items() if "ports" in one} == {
        "door": ["9000:8080", "9001:8081"]
    }


def test_things_start_in_their_order(tmp_path: Path) -> None:
    services = read(compose_files(system_of("question_search"), tmp_path, observe=False))["services"]
    waits = {
        name: {of: one["condition"] for of, one in service["depends_on"].items()}
        for name, service in services.items()
        if "depends_on" in service
    }
    assert waits == snapshot(
        {
            "controller": {"release": "service_healthy"},
            "encoder": {"release": "service_healthy"},
            "cluster": {"release": "service_healthy"},
            "gateway": {
                "release": "service_healthy",
                "controller": "service_started",
                "encoder": "service_healthy",
                "cluster": "service_healthy",
            },
            "tests": {"door": "service_healthy", "gateway": "service_healthy"},
        }
    )


def test_a_container_gets_what_its_service_asks_for(tmp_path: Path) -> None:
    service = read(compose_files(demanding(), tmp_path, observe=False))["services"]["big-model"]
    assert service["deploy"] == snapshot(
        {
            "replicas": 3,
            "resources": {
                "limits": {"cpus": "1.5", "memory": "1280M", "pids": 4096},
                "reservations": {"devices": [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]},
            },
        }
    )


def test_a_store_elsewhere(tmp_path: Path) -> None:
    far = read(compose_files(system_of("question_search", store="s3://a/b"), tmp_path, observe=False))
    assert "store" not in far["volumes"]
    assert far["services"]["encoder"]["env_file"] == ["secrets/s3.env"]
    assert far["services"]["encoder"]["environment"]["KAPELLE_STORE"] == "s3://a/b"
    near = read(compose_files(system_of("question_search", store=str(tmp_path)), tmp_path, observe=False))
    assert near["services"]["encoder"]["volumes"][0]["source"] == str(tmp_path)


@needs_compose()
def test_a_dollar_of_the_users_is_a_dollar(tmp_path: Path) -> None:
    system = system_of("question_search", tmp_path / "con$text", store=str(tmp_path / "$HOME"))
    parts = tuple(replace(part, command=("a", "${B}")) for part in system.parts)
    write_files(tmp_path, "app", compose_files(replace(system, parts=parts), tmp_path, observe=False))
    make_secrets(tmp_path, secret_names(system, observe=False))
    done = subprocess.run(
        ["docker", "compose", "config", "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # What it prints is a file again, with the dollars doubled.
    made = json.loads(done.stdout.replace("$$", "$"))["services"]["encoder"]
    assert made["command"] == ["a", "${B}"]
    assert made["volumes"][0]["source"] == str(tmp_path / "$HOME")
    assert made["build"]["context"] == str(tmp_path / "con$text")
    assert made["image"] == f"question-search:{TAG}"
    assert "is not set" not in done.stderr


def test_a_new_build_changes_only_the_names_of_images(tmp_path: Path) -> None:
    files = compose_files(system_of("question_search"), tmp_path, observe=False)
    assert "0123456789ab" not in files["compose.yaml"]
    assert files[".env"].count("0123456789ab") == 6


PEERS_OVER_TLS = {
    "KAPELLE_PEER_CERTIFICATE": "/run/secrets/peer-certificate",
    "KAPELLE_PEER_KEY": "/run/secrets/peer-key",
    "KAPELLE_PEER_AUTHORITY": "/run/secrets/peer-authority",
}


def test_those_who_talk_to_each_other_get_the_certificates(tmp_path: Path) -> None:
    files = compose_files(secured(system_of("question_search")), tmp_path, observe=False)
    made = read(files)
    names = ["kapelle", "peer-certificate", "peer-key", "peer-authority"]
    assert made["secrets"] == {name: {"file": f"./secrets/{name}"} for name in names}
    given = {name: one["secrets"] for name, one in made["services"].items() if "secrets" in one}
    assert given == dict.fromkeys(["controller", "encoder", "cluster", "gateway"], names)
    for name, service in made["services"].items():
        told = {key: value for key, value in (service.get("environment") or {}).items() if "PEER_" in key}
        assert told == (PEERS_OVER_TLS if name in given else {})
        assert service.get("labels") == ({"kapelle.certificates": "${CERTIFICATES}"} if name in given else None)


def test_other_certificates_change_what_containers_are_and_not_the_file(tmp_path: Path) -> None:
    system = secured(system_of("question_search"))
    renewed = replace(system, certificates=replace(system.certificates, digest="decaf"))
    before, after = (compose_files(one, tmp_path, observe=False) for one in (system, renewed))
    assert [name for name in before if before[name] != after[name]] == [".env"]
    assert "CERTIFICATES=decaf\n" in after[".env"]


@needs_compose()
@pytest.mark.parametrize("app", APPS)
def test_compose_reads_it(app: str, tmp_path: Path) -> None:
    system = system_of(app, tmp_path / "context")
    write_files(tmp_path, app, compose_files(system, tmp_path, observe=True))
    make_secrets(tmp_path, secret_names(system, observe=True))
    done = subprocess.run(
        ["docker", "compose", "config", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
