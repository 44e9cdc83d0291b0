"""What a build went through, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.building import Options, build_image, build_images
from kapelle.deploy.docker import Docker
from kapelle.deploy.images import Image
from kapelle.errors import DeployError
from tests.unit.deploy.fake_docker import VERSION, put_docker
from tests.unit.deploy.sample_app import SampleApp

HISTORY = r"case $1 in history) printf '2\tCOPY /app /app\n9\tFROM\n'; exit;; esac" + "\n"


def test_all_images_are_built_with_what_was_asked_for(
    sample: SampleApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'echo "$@" >>{tmp_path}/asked\n' + "echo '#4 [code 1/2] COPY app/code/ /app/'; echo '#4 DONE 0.5s'"
    put_docker(tmp_path, monkeypatch, VERSION + HISTORY + script)
    images, heard = sample.plan(), list[str]()
    built = build_images(Docker(), images, Options("linux/arm64", ["--network=host"]), heard.append)
    assert [one.image for one in built] == [images.door, images.gateway, images.release]
    assert (built[0].size, built[0].steps[0].seconds) == (11, 0.5)
    assert heard == ["code: COPY app/code/ /app/"] * 3
    asked = (tmp_path / "asked").read_text().splitlines()
    assert f"--target=gateway --tag={images.gateway.reference}" in asked[1]
    assert "--platform=linux/arm64" in asked[1]
    assert asked[1].endswith(f"--network=host {images.context}")


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("ERROR: No matching distribution found for nothing", "mend the requirements"),
        ("SSLError(CERTIFICATE_VERIFY_FAILED)", "set PIP_CERT"),
        ("NewConnectionError: Temporary failure in name resolution", "--network=host"),
        ("gcc: not found", "mend what it says"),
    ],
)
def test_a_failure_names_the_stage_its_last_words_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, step: str
) -> None:
    script = f"echo '#4 [dependencies 2/2] RUN pip'; echo '#4 1.0 {said}'; echo '#4 ERROR: exit code 1'; exit 1"
    put_docker(tmp_path, monkeypatch, VERSION + script)
    with pytest.raises(
        DeployError, match=f"x:1 cannot be built: the stage 'dependencies' failed\n    .*\n.*{step}"
    ) as found:
        build_image(Docker(), tmp_path, Image("x:1", "Dockerfile", "gateway"))
    assert said in found.value.detail


def test_a_failure_before_any_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_docker(tmp_path, monkeypatch, VERSION + "echo 'ERROR: no space left on device'; exit 1")
    with pytest.raises(DeployError, match="x:1 was not built: the disk of the Docker engine is full"):
        build_image(Docker(), tmp_path, Image("x:1", "Dockerfile", "gateway"))
