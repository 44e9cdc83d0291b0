"""What is installed where, as files of a build context."""

from __future__ import annotations

from pathlib import Path

from kapelle.declare.services import ServiceSpec
from kapelle.deploy.packages import Packages


def service(name: str, *, requirements: str | None = None, gpus: int = 0, inline: bool = False) -> ServiceSpec:
    return ServiceSpec(name, object, {}, (), requirements=requirements, gpus=gpus, inline=inline)


def packages(
    folder: Path, *services: ServiceSpec, variant: str = "cpu", s3: bool = False, tests: bool = False
) -> Packages:
    return Packages(folder, {one.name: one for one in services}, variant, s3=s3, tests=tests)


def text(found: Packages, name: str) -> str:
    content = found.files[name]
    assert isinstance(content, bytes)
    return content.decode()


def test_kapelle_brings_what_it_needs_and_an_init(tmp_path: Path) -> None:
    lines = text(packages(tmp_path), "requirements/kapelle.txt").splitlines()
    assert any(line.startswith("msgspec") for line in lines)
    assert lines[-1].startswith("dumb-init")
    assert not any(line.startswith(("grpcio", "obstore", "httpx")) for line in lines)


def test_extras_follow_from_what_the_app_uses(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("grpcio>=1.63\n")
    lines = text(packages(tmp_path, s3=True), "requirements/kapelle.txt")
    assert "grpcio" in lines
    assert "obstore" in lines


def test_kapelle_among_the_requirements_asks_for_extras(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("kapelle[s3]>=0.1\n")
    found = packages(tmp_path)
    assert "obstore" in text(found, "requirements/kapelle.txt")
    assert "kapelle[" not in text(found, "requirements/requirements.txt")


def test_a_service_with_its_own_file_has_its_own_set(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "requirements-encoder.txt").write_text("torch\n")
    found = packages(tmp_path, service("Encoder", requirements="requirements-encoder.txt"), service("Cluster"))
    assert [one.name for one in found.sets] == ["", "encoder"]
    assert found.of("Cluster").files == ("requirements/kapelle.txt", "requirements/requirements.txt")
    assert found.of("Encoder").files == ("requirements/kapelle.txt", "requirements/requirements-encoder.txt")


def test_only_who_has_a_gpu_gets_cuda(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("onnxruntime\n")
    (tmp_path / "requirements-cuda.txt").write_text("cupy\n")
    found = packages(tmp_path, service("Encoder", gpus=1), service("Cluster"), variant="cuda")
    assert found.of("Cluster").name == ""
    assert (found.of("Encoder").name, found.of("Encoder").cuda) == ("cuda", True)
    assert text(found, "requirements/cuda/requirements.txt") == "onnxruntime-gpu[cuda,cudnn]\n"
    assert "requirements/cuda/requirements-cuda.txt" in found.of("Encoder").files
    assert not packages(tmp_path, service("Encoder", gpus=1)).of("Encoder").cuda


def test_cuda_is_for_all_services_where_none_has_a_gpu(tmp_path: Path) -> None:
    found = packages(tmp_path, service("Encoder"), service("Near", inline=True), variant="cuda")
    assert found.of("Encoder").cuda
    assert [one.name for one in found.sets] == ["", "cuda"]


def test_builders_and_tests_have_their_own(tmp_path: Path) -> None:
    (tmp_path / "requirements-build.txt").write_text("onnx\n")
    (tmp_path / "requirements-tests.txt").write_text("pillow\n")
    found = packages(tmp_path, tests=True)
    assert found.build.files == ("requirements/requirements-build.txt",)
    assert found.tests.files == ("requirements/pytest.txt", "requirements/requirements-tests.txt")
    assert text(found, "requirements/pytest.txt").splitlines()[0] == "pytest"
    assert "httpx" in text(found, "requirements/pytest.txt")
    assert packages(tmp_path).tests.files == ("requirements/requirements-tests.txt",)
