"""Each image gets the files it needs: code to serve, data and the builder to make a release, tests to ask."""

from __future__ import annotations

from kapelle.deploy.app_files import files_of
from tests.unit.deploy.sample_app import SampleApp


def test_code_serves_and_the_rest_makes_releases(sample: SampleApp) -> None:
    sample.with_all()
    found = files_of(sample.load()[0])
    assert sorted(found.code.files) == ["shop/__init__.py", "shop/search/__init__.py", "shop/search/app.py"]
    assert sorted(found.release) == ["shop/parts.py", "shop/search/build.py", "shop/search/corpus/questions.txt"]
    assert sorted(found.tests) == ["shop/search/tests/test_served.py"]
    assert (found.place, found.folder) == ("shop/search", "shop/search/")


def test_without_a_builder_a_release_is_made_of_the_artifacts(sample: SampleApp) -> None:
    sample.write("artifacts/index/tests/data", "made")
    assert sorted(files_of(sample.load()[0]).release) == ["shop/search/artifacts/index/tests/data"]


def test_a_folder_of_tests_without_any_is_none(sample: SampleApp) -> None:
    sample.write("tests/notes.txt", "later")
    assert files_of(sample.load()[0]).tests == {}


def test_environments_and_caches_are_left_out(sample: SampleApp) -> None:
    sample.write("build.py")
    for made in ("env/pyvenv.cfg", "env/lib/data", "node_modules/x/y.json", "__pycache__/a.pyc", ".git/config"):
        sample.write(made)
    assert sorted(files_of(sample.load()[0]).release) == ["shop/search/build.py"]
