"""Which images an app has, and what changes which of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kapelle.artifacts.releases import code_version
from kapelle.declare.code import code_of
from kapelle.deploy.images import Images
from kapelle.errors import DeployError
from tests.docs.documents import forget_modules
from tests.unit.deploy.sample_app import SampleApp


def planned(sample: SampleApp, **options: object) -> Images:
    forget_modules(sample.project)
    return sample.plan(**options)


def changed(before: Images, after: Images) -> list[str]:
    names = ("door", "gateway", "release", "tests")
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def test_images_of_an_app(sample: SampleApp) -> None:
    sample.with_all()
    images = planned(sample)
    assert images.context == Path(".kapelle/images/shop.search")
    assert (images.place, images.gateway.target) == ("shop/search", "gateway")
    assert images.services == {"Encoder": images.gateway}
    references = [image.reference.partition(":")[0] for image in images.roles]
    assert references == ["small-search-door", "small-search", "small-search-release", "small-search-tests"]
    assert [*images.roles.values()] == [["door"], ["gateway", "controller", "Encoder"], ["release"], ["tests"]]


def test_without_tests_there_is_no_image_of_them(sample: SampleApp) -> None:
    assert planned(sample).tests is None


def test_writing_again_touches_nothing(sample: SampleApp) -> None:
    sample.with_all()
    images = planned(sample)
    files = [path for path in images.context.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (1000, 1000))
    assert planned(sample) == images
    assert {path.stat().st_mtime for path in files} == {1000.0}


def test_a_change_makes_only_the_images_anew_that_have_it(sample: SampleApp) -> None:
    sample.with_all()
    first = planned(sample)
    sample.write("corpus/questions.txt", "Why not?")
    second = planned(sample)
    assert changed(first, second) == ["release"]
    sample.write("__init__.py", "x = 1")
    third = planned(sample)
    assert changed(second, third) == ["gateway", "release", "tests"]
    sample.write("tests/test_served.py", "def test_more() -> None: ...")
    fourth = planned(sample)
    assert changed(third, fourth) == ["tests"]
    sample.write("requirements.txt", "numpy>=2")
    assert changed(fourth, planned(sample)) == ["door", "gateway", "release", "tests"]


def test_a_service_with_its_own_packages_has_its_own_image(project: Path) -> None:
    sample = SampleApp(project, 'requirements="requirements-encoder.txt"')
    sample.write("requirements-encoder.txt", "torch\n")
    images = planned(sample)
    assert images.services["Encoder"].target == "services-encoder"
    assert images.services["Encoder"].reference.startswith("small-search-encoder:")
    text = (images.context / "Dockerfile").read_text()
    assert "COPY requirements/kapelle.txt requirements/requirements-encoder.txt ./" in text


def test_the_label_is_the_code_that_a_release_has(sample: SampleApp) -> None:
    target, app = sample.load()
    assert app.name == "SmallSearch"
    text = (sample.plan().context / "Dockerfile").read_text()
    assert f'kapelle.code="{code_version(code_of(target))}"' in text


def test_with_cuda_there_is_an_image_for_what_computes(sample: SampleApp) -> None:
    plain, images = planned(sample), planned(sample, variant="cuda", name="registry.example.org/search")
    assert images.context != plain.context
    assert images.services["Encoder"].reference.startswith("registry.example.org/search-cuda:")
    text = (images.context / "Dockerfile").read_text()
    assert "ENV NVIDIA_VISIBLE_DEVICES=all" in text
    assert "LD_LIBRARY_PATH=/opt/venv/lib/python3" in text
    assert "onnxruntime-gpu" in (images.context / "requirements" / "cuda" / "requirements.txt").read_text()


def test_a_name_that_no_engine_takes(sample: SampleApp) -> None:
    with pytest.raises(DeployError, match="images cannot be called 'Search'"):
        planned(sample, name="Search")
