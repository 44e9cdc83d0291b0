"""Whose requirements a file has follows from its name, and from the services that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.declare.services import ServiceSpec
from kapelle.deploy.requirements import AppRequirements, with_cuda, without_kapelle
from kapelle.errors import DeployError


def service(name: str, requirements: str | None = None) -> ServiceSpec:
    return ServiceSpec(name, object, {}, (), requirements=requirements)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("numpy\n")


def test_files_by_who_needs_them(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "requirements-nodeps.txt", "requirements-build.txt", "requirements-tests.txt")
    write(tmp_path, "requirements-encoder.txt", "requirements-cuda.txt", "requirements-build-nodeps.txt", "other.txt")
    found = AppRequirements(tmp_path, [service("Encoder", "requirements-encoder.txt"), service("Cluster")])
    assert found.app.files == ("requirements-nodeps.txt", "requirements.txt")
    assert found.of("Cluster") == found.app
    assert (found.of("Encoder").name, found.of("Encoder").files) == ("encoder", ("requirements-encoder.txt",))
    assert found.only_for("build") == ("requirements-build-nodeps.txt", "requirements-build.txt")
    assert found.only_for("tests") == ("requirements-tests.txt",)
    assert found.only_for("cuda") == ("requirements-cuda.txt",)


def test_a_service_that_names_what_the_app_has_differs_in_nothing(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt")
    found = AppRequirements(tmp_path, [service("Encoder", "requirements.txt")])
    assert found.of("Encoder") == found.app


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DeployError, match=r"Encoder is declared with requirements='requirements-x\.txt'.*does not exist"
    ):
        AppRequirements(tmp_path, [service("Encoder", "requirements-x.txt")])


def test_files_that_are_included_come_along(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r requirements-base.txt\n--constraint=versions.txt\nnumpy\n")
    write(tmp_path, "requirements-base.txt", "versions.txt")
    read = AppRequirements(tmp_path, []).read(["requirements.txt"])
    assert list(read) == ["requirements-base.txt", "requirements.txt", "versions.txt"]
    (tmp_path / "versions.txt").write_text("-r ../elsewhere.txt")
    with pytest.raises(DeployError, match=r"includes '\.\./elsewhere\.txt'; expected a file in the same folder"):
        AppRequirements(tmp_path, []).read(["requirements.txt"])


def test_what_editors_and_shells_of_windows_write_is_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbfkapelle\r\n")
    assert AppRequirements(tmp_path, []).read(["requirements.txt"]) == {"requirements.txt": "kapelle\n"}
    (tmp_path / "requirements.txt").write_bytes("numpy\r\n".encode("utf-16"))
    with pytest.raises(DeployError, match=r"/requirements\.txt: expected text in UTF-8; save it as that"):
        AppRequirements(tmp_path, []).read(["requirements.txt"])


@pytest.mark.parametrize(
    ("line", "swapped"),
    [
        ("onnxruntime>=1.20", "onnxruntime-gpu[cuda,cudnn]>=1.20"),
        ("numpy\nonnxruntime\n", "numpy\nonnxruntime-gpu[cuda,cudnn]\n"),
        ("onnxruntime ; python_version > '3'", "onnxruntime-gpu[cuda,cudnn] ; python_version > '3'"),
        ("onnxruntime-tools", "onnxruntime-tools"),
        ("onnx>=1", "onnx>=1"),
    ],
)
def test_cuda_swaps_the_runtime(line: str, swapped: str) -> None:
    assert with_cuda(line) == swapped


def test_kapelle_itself_is_taken_from_here() -> None:
    text, extras = without_kapelle("numpy\nkapelle[grpc, client]>=0.1  # ours\nkapelle-plugin\n")
    assert text == "numpy\n# Kapelle is installed from a wheel, after these.\nkapelle-plugin\n"
    assert extras == {"grpc", "client"}
    assert without_kapelle("kapelle") == ("# Kapelle is installed from a wheel, after these.", set())
